"""`python -m segassess.models.segmenters [DIR]`: sizes of the segmenters, or validation scores of those trained in a folder."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from segassess.errors import SegAssessError
from segassess.models.segmenters.size_tables import fitted_networks, networks_table, parameters_table


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m segassess.models.segmenters", description=__doc__)
    help_text = "folder of trained networks, such as outputs/segmenters/<dataset>"
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help=help_text)
    folder: Path | None = parser.parse_args(arguments).folder
    try:
        table = parameters_table() if folder is None else networks_table(fitted_networks(folder))
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
