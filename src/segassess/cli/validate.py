"""Check a command line of train, evaluate, predict, export or prepare without doing its work.

Usage: segassess validate SCRIPT [key=value ...]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from segassess.cli.app import find_configs
from segassess.errors import ConfigError, SegAssessError
from segassess.experiments.exits import stop

SCRIPTS = ("train", "evaluate", "predict", "export", "prepare")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; None takes the arguments of the process."""
    script, *overrides = (sys.argv[1:] if arguments is None else arguments) or [""]
    try:
        if script not in SCRIPTS:
            raise ConfigError(
                f"The script must be one of {', '.join(SCRIPTS)}, not {script!r}; give key=value arguments after it."
            )
        # Slow to import.
        from segassess.cli.validation import validate

        file = validate(script, [each for each in overrides if each not in ("-m", "--multirun")], find_configs(__file__))
    except (SegAssessError, HydraException, OmegaConfBaseException) as error:
        stop(error)
    print(f"Valid. The resolved configuration: {Path(file)}")


if __name__ == "__main__":
    main()
