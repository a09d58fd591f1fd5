"""`segassess join FOLDER`: sum a sweep's folder up once more, and join its runs as its experiment said."""

import argparse
import sys
from pathlib import Path

from segassess.errors import SegAssessError
from segassess.experiments.exits import EXIT_WRONG_REQUEST
from segassess.experiments.sweep import join_again


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="segassess join", description=join_again.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, help="folder of the sweep, with its multirun.yaml")
    try:
        join_again(parser.parse_args().folder)
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(EXIT_WRONG_REQUEST)


if __name__ == "__main__":
    main()
