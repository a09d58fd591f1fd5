"""What the package needs is declared, and what a wheel needs is inside."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported():
    """Third-party modules that files in `src` import anywhere, with one file each."""
    ours = {"segassess", "hydra_plugins", *sys.stdlib_module_names}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            for name in names:
                if (top := name.partition(".")[0]) not in ours:
                    yield top, path.relative_to(ROOT)


def test_what_is_imported_is_declared():
    extras = [each for name, needs in PROJECT["optional-dependencies"].items() if name != "dev" for each in needs]
    declared = {canonical(re.match(r"[A-Za-z0-9_.-]+", each)[0]) for each in PROJECT["dependencies"] + extras}
    distributions = packages_distributions()
    found = dict(imported())
    assert {"torch", "timm", "affine", "optuna"} <= found.keys(), "the search finds what is imported"
    missing = {
        module: str(path) for module, path in found.items() if not {canonical(each) for each in distributions[module]} & declared
    }
    assert not missing


@pytest.mark.slow
def test_a_wheel_predicts_outside_the_clone(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("segassess-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    weights = "segassess/checkpoints/twin_lite0.safetensors"
    assert {weights, "segassess/checkpoints/README.md", "hydra_plugins/segassess_search.py"} <= set(names)
    assert {"segassess/conf/predict.yaml", "segassess/py.typed"} <= set(names)
    venv.create(tmp_path / "env", with_pip=False)
    paths = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    purelib = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    python = tmp_path / "env" / "bin" / "python"
    # A line of a .pth adds the packages of this environment, whose own .pth files, an editable install among them, are not read.
    (purelib / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path), "NO_ALBUMENTATIONS_UPDATE": "1"}

    def run(*command, code=0):
        result = subprocess.run([*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
        assert result.returncode == code, result.stderr[-3000:]
        return result

    run(python, "-c", "import torch")
    assert "segassess" in run(python, "-c", "import segassess.cli", code=1).stderr
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", "--ignore-installed", wheel)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.pad(np.full((40, 40), 255, np.uint8), ((20, 36), (30, 58)))).save(tmp_path / "b.png")
    script = tmp_path / "env" / "bin" / "segassess"
    run(script, "predict", "image=a.png", "mask=b.png", "output_dir=out", "report=false")
    assert list((tmp_path / "out").rglob("quality.tif")) and (tmp_path / "out" / "scores.csv").is_file()
    where = run(python, "-c", "import segassess; print(segassess.__file__)").stdout.strip()
    assert Path(where).is_relative_to(tmp_path / "env")
