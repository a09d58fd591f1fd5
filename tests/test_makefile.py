"""The two commands of the README, as far as they can be checked without running them."""

import re
import subprocess

from hydra import compose, initialize_config_dir

from segassess.cli import build
from segassess.data.synthetic_tiles import SyntheticTiles
from tests import all_pythons
from tests.conftest import ROOT


def dry_run(*arguments: str) -> str:
    return subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_demo_predicts_the_scenes_that_its_training_makes(monkeypatch):
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        tileset = build.tileset(compose("train", ["experiment=demo"]).dataset)
    assert isinstance(tileset, SyntheticTiles)
    image, mask = re.search(r"'image=(\S+)' \\?\s*'mask=(\S+)'", dry_run("demo")).groups()
    scenes = tileset.root.relative_to(ROOT)
    assert (image, mask) == (f"{scenes}/test/image", f"{scenes}/test/seg_preds/discriminant")


def test_ci_runs_the_readme_s_test_command_last():
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make")]
    assert commands[-1] == "make test" and {"make lint", "make types", "make docs"} <= set(commands)
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme and "make test" in readme


def test_install_only_makes_the_environment():
    assert dry_run("-B", "install") == dry_run("-B", ".venv/.ready")
    (options,) = re.findall(r"`python -m pip install ([^`]*)`", (ROOT / "README.md").read_text())
    assert f"{options}\n" in (ROOT / "Makefile").read_text()


def test_all_pythons_starts_with_the_oldest_that_is_allowed():
    oldest = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    assert all_pythons.RUNS[0] == (oldest, "lowest")
    assert all((ROOT / "tests" / each).exists() for each in all_pythons.CORE.split())


def test_a_python_that_is_not_there_is_skipped():
    assert all_pythons.interpreter("3.99") is None
    assert all_pythons.outcome("3.99", "newest").startswith("skipped, as python3.99")
