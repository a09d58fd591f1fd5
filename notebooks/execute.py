"""Execute the notebooks: `python notebooks/execute.py [NOTEBOOK ...]`; all of this folder without arguments.

Each runs from top to bottom in a fresh kernel of this Python, in its own folder, and is written back with its outputs.
"""

import argparse
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def execute(path: Path, timeout: int = 300) -> float:
    """Execute a notebook in place.

    Args:
        path: of the notebook.
        timeout: seconds that a cell may take.

    Returns:
        Seconds that it took.

    Raises:
        CellExecutionError: if a cell fails; the notebook stays as it was.
    """
    started = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    # Where a slow kernel sends what a cell prints in several parts, they are one output all the same.
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    # What depends on the machine and not on the notebook: its metadata, and warnings that name paths of packages.
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    nbformat.write(notebook, path)
    return time.monotonic() - started


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", type=Path, nargs="*", metavar="NOTEBOOK")
    for path in parser.parse_args().notebooks or sorted(HERE.glob("*.ipynb")):
        print(f"{path.name}: {execute(path.resolve()):.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
