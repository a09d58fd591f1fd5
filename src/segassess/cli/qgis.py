"""Write a project of QGIS beside the results of `segassess predict`: image, maps and findings, styled and in order.

Usage: segassess qgis input=DIR [key=value ...]

  input=DIR     output_dir of `segassess predict`
  output=FILE   the project (default: <input>/project.qgs)
  image=PATH    image, folder or pattern, if the images have moved since they were judged

Paths in it are relative. docs/how-to/review-findings.md
"""

from collections.abc import Sequence
from pathlib import Path

from segassess.cli.keys import PREDICTED, Key, read_keys

KEYS = {"input": PREDICTED, "output": Key(), "image": Key()}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    keys = read_keys("qgis", KEYS, arguments)
    # Slow to import.
    from segassess.outputs.judged_folder import images_of, judged_folders, read_record
    from segassess.outputs.qgis_project import PROJECT, write_project

    folder = Path(keys["input"])
    images = images_of(read_record(folder), keys["image"])
    print(f"Open in QGIS: {write_project(Path(keys['output'] or folder / PROJECT), judged_folders(folder), images)}")
