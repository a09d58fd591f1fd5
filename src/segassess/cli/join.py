"""Join the results of a sweep again.

Usage: segassess join FOLDER

Sums up the runs of a sweep once more, and joins them as its experiment does; FOLDER is that of the sweep, with its multirun.yaml.
"""

from collections.abc import Sequence
from pathlib import Path

from segassess.errors import ConfigError
from segassess.experiments.sweep import join_again


def main(arguments: Sequence[str]) -> None:
    """The command line.

    Raises:
        SegAssessError: if it is not the folder of a sweep.
    """
    if len(arguments) != 1:
        raise ConfigError(f"join takes the folder of one sweep, not {len(arguments)} arguments: segassess join FOLDER.")
    join_again(Path(arguments[0]))
