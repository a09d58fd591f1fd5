"""The console script `segassess`: commands, the short form of predict, and what starting it imports."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from segassess.cli.short_form import overrides
from segassess.errors import RequestError
from tests.cli.scripts import error_of, run_script
from tests.conftest import ROOT, save


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A tile of 64 px and two masks of it, in a folder whose name Hydra would not take as it stands."""
    folder = tmp_path_factory.mktemp("it's a (scene), no = 1")
    rng = np.random.default_rng(0)
    save(folder / "a.png", rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    for name in ("b", "c"):
        save(folder / f"{name}.png", (rng.random((64, 64)) > 0.6).astype(np.uint8) * 255)
    return folder


def read(arguments):
    """The values that Hydra reads from the overrides of a short form."""
    parsed = OverridesParser.create().parse_overrides(overrides(arguments))
    return {override.key_or_group: override.value() for override in parsed}


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["a.tif", "b.tif", "-o", "out"], {"image": "a.tif", "mask": "b.tif", "output_dir": "out"}),
        (["a", "b", "c|layername=x", "panel=false", "-o", "o"], {"image": "a", "mask": ["b", "c|layername=x"], "panel": False}),
        (["pairs.csv", "output_dir=out"], {"image": "pairs.csv", "output_dir": "out"}),
        (["it's (1), a.tif", "b\\\\", "-o", "\\\\'"], {"image": "it's (1), a.tif", "mask": "b\\\\", "output_dir": "\\\\'"}),
        (["image=a.tif", "mask=b.tif"], {"image": "a.tif", "mask": "b.tif"}),
    ],
)
def test_paths_are_taken_to_the_letter(arguments, values):
    found = read(arguments)
    assert {key: found[key] for key in values} == values and ("mask" in values or "mask" not in found)


def test_options_of_hydra_pass():
    given = ["--cfg", "job", "-m", "~encoder", "--config-dir=x", "hydra/launcher=parallel"]
    assert overrides(given) == ["~encoder", "hydra/launcher=parallel", "--cfg", "job", "-m", "--config-dir=x"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.tif", "-o", "out"], "a.tif"),
        (["a.tif", "b.tif"], "-o DIR"),
        (["a.tif", "b.tif", "-o"], "-o DIR"),
        (["a.tif", "b.tif", "-o", "panel=false"], "-o DIR"),
        (["a.tif", "b.tif", "-o", "x", "output_dir=y"], "output_dir"),
        (["a.tif", "b.tif", "-o", "x", "image=c.tif"], "image="),
        (["b.tif", "c.tif", "-o", "x", "mask=c.tif"], "mask="),
    ],
)
def test_a_short_form_that_is_not_whole_is_refused(arguments, words):
    with pytest.raises(RequestError) as refused:
        overrides(arguments)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_predict_by_paths_imports_only_what_it_needs(scene, checkpoint, tmp_path):
    """After a real prediction: what training, tables of pandas and other networks need has not been imported."""
    command = ["segassess", "predict", f"{scene}/a.png", f"{scene}/b.png", f"{scene}/c.png", "-o", f"{tmp_path}/it's out"]
    command += [f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}/run"]
    heavy = {"lightning", "wandb", "matplotlib", "albumentations", "torchmetrics", "segmentation_models_pytorch"}
    heavy |= {"torchvision", "timm", "sympy", "torch._dynamo", "geopandas", "pandas", "pyarrow", "pyproj"}
    code = f"""
import json, sys
from segassess.cli.console import main
sys.argv = {command!r}
try:
    main()
finally:
    print(json.dumps(sorted({heavy!r} & sys.modules.keys())))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []
    assert {path.name for path in (tmp_path / "it's out" / "a").iterdir() if path.is_dir()} >= {"b", "c"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["predict", "--help"], 0),
        (["predict", "a.tif", "b.tif", "-o", "out", "--cfg", "job"], 0),
        (["predict", "a.tif", "b.tif", "-o", "out", "pannel=false"], 2),
        (["queue", "-h"], 0),
        (["queue", "input=nowhere", "mostly=3"], 2),
        (["join"], 2),
        (["join", "--help"], 0),
        (["validate", "-h"], 0),
        (["judge"], 2),
    ],
)
def test_answers_without_work_do_not_import_torch(arguments, code, tmp_path):
    script = f"""
import sys
from segassess.cli.console import main
sys.argv = {["segassess", *arguments, *(["paths.output_root=" + str(tmp_path)] if arguments[0] == "predict" else [])]!r}
try:
    main()
finally:
    assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == code, result.stderr
    if code:
        assert error_of(result)
    else:
        assert result.stdout


def test_join_takes_one_folder(tmp_path):
    assert str(tmp_path) in error_of(run_script("segassess", "join", tmp_path, code=2))
