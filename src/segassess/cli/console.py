"""The console script `segassess COMMAND ...`, also `python -m segassess COMMAND ...`."""

import sys
from importlib import import_module
from pathlib import Path

from segassess.cli.app import nobody_reads, run_script
from segassess.errors import ConfigError, SegAssessError
from segassess.experiments.exits import EXIT_UNREAD, stop
from segassess.version import __version__

# Composed by Hydra, as the scripts of the same name.
TASKS = {
    "predict": "judge masks",
    "evaluate": "compare assessors and baselines with the ground truth",
    "train": "train an assessor or a segmenter",
    "export": "write an assessor as an ONNX graph, a folder for Hugging Face or a STAC item",
    "prepare": "turn the official download of a published data set into tiles",
}
# Each has a module with `main(arguments)`; its docstring is the help.
TOOLS = {
    "validate": "check a command line without doing its work",
    "queue": "make a queue of the worst tiles or findings for a labelling or mapping tool",
    "qgis": "write a project of QGIS with image, maps and findings",
    "index": "write one index of all judged scenes, as GeoParquet and vector tiles",
    "verdicts": "read what reviewers said of findings",
    "sample": "draw points to look at, so that a figure can be signed",
    "estimate": "estimate accuracy with intervals from the answers to a sample",
    "calibrate": "correct P(error) by the answers to a sample",
    "mend": "drop, move and add polygons of a layer by what was found",
    "compare": "say where a newer edition of a layer is better, and where worse",
    "join": "summarize and join the runs of a sweep again",
}


def main() -> None:
    """The command line."""
    command, *rest = sys.argv[1:] or ["--help"]
    try:
        if command in ("-h", "--help"):
            print(_usage())
        elif command == "--version":
            print(__version__)
        elif command in TASKS:
            if command == "predict":
                from segassess.cli.short_form import USAGE, overrides

                if {"-h", "--help"} & set(rest):
                    print(USAGE, end="\n\n")
                rest = overrides(rest)
            run_script(command, str(Path(__file__).parents[1] / "__init__.py"), rest)
        elif command in TOOLS:
            tool = import_module(f"segassess.cli.{command}")
            if {"-h", "--help"} & set(rest):
                print(tool.__doc__)
            else:
                tool.main(rest)
        else:
            raise ConfigError(f"{command!r} is not a command; choose one of {', '.join(TASKS | TOOLS)}.")
        nobody_reads()
    except BrokenPipeError:
        nobody_reads("\n")
        sys.exit(EXIT_UNREAD)
    except SegAssessError as error:
        stop(error)


def _usage() -> str:
    lines = ["Usage: segassess COMMAND ...", "", "Commands:"]
    lines += [f"  {name:<10}{about}" for name, about in (TASKS | TOOLS).items()]
    return "\n".join([*lines, "", "Run segassess COMMAND --help for the arguments of a command."])
