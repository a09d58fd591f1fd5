"""Summarize and join the runs of a sweep again.

Usage: segassess join FOLDER

FOLDER is the folder of the sweep, which holds its multirun.yaml.
"""

from collections.abc import Sequence
from pathlib import Path

from segassess.errors import ConfigError
from segassess.experiments.sweep import join_again


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if len(arguments) != 1:
        raise ConfigError(f"join takes one argument, not {len(arguments)}; type segassess join FOLDER.")
    join_again(Path(arguments[0]))
