"""The notebooks run from top to bottom, and what is stored of them is small, whole and of no particular machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise

import nbformat
import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST, LARGEST_TOGETHER = 400_000, 1_500_000


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_six_and_they_are_small():
    assert [path.name[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_", "6_"]
    sizes = [path.stat().st_size for path in NOTEBOOKS]
    assert max(sizes) < LARGEST and sum(sizes) < LARGEST_TOGETHER


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "executed once, from top to bottom"
    found = outputs(notebook)
    assert found and not [output for output in found if output.output_type == "error" or output.get("name") == "stderr"]
    assert any("image/jpeg" in output.get("data", {}) for output in found), "it shows pictures"
    streams = [[output.get("name") for output in cell.outputs] for cell in cells]
    parted = [names for names in streams if any(a == b == "stdout" for a, b in pairwise(names))]
    assert not parted, "what a cell prints is one output, see notebooks/execute.py"
    written = json.dumps([{**output, "data": {}} for output in found]) + json.dumps([cell.source for cell in notebook.cells])
    assert not re.search(r"/(home|root|tmp|work|Users|usr|opt)/|site-packages|\\u001b", written), "paths or control characters"
    assert set(notebook.metadata) == {"kernelspec", "language_info"} and notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (FOLDER / link).exists() or link.startswith("https://"), link


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_executed_from_a_clean_checkout(path, tmp_path):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\n") if listed.returncode == 0 else []
    if not names:
        pytest.skip("this is no git checkout, so that what belongs to a clean one is not known")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    copy = tmp_path / "notebooks" / path.name
    blank = nbformat.read(copy, as_version=4)
    for cell in blank.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(blank, copy)
    command = [sys.executable, str(tmp_path / "notebooks" / "execute.py"), str(copy)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    stored, fresh = (nbformat.read(each, as_version=4) for each in (path, copy))
    assert copy.stat().st_size < LARGEST
    assert [output.output_type for output in outputs(fresh)] == [output.output_type for output in outputs(stored)]
