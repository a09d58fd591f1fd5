"""`segassess prepare` as a user runs it."""

import os
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir

from segassess.cli import prepare
from segassess.errors import RequestError
from tests.cli.scripts import error_of, light
from tests.conftest import ROOT
from tests.prepare import archives


@pytest.fixture
def run_prepare(tmp_path):
    def run(*arguments, code=0):
        command = [sys.executable, "-m", "segassess", "prepare", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
        assert result.returncode == code, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    return run


def test_prepare(run_prepare, tmp_path):
    download = archives.make_inria(tmp_path / "download", scenes=5)
    broken = download / "AerialImageDataset" / "train" / "images" / "austin5.tif"
    broken.write_bytes(broken.read_bytes()[:3000])
    options = "dataset.prepare.test=[1,2]", "dataset.prepare.valid=[3]", "dataset.recipe.tile_size=32"
    result = run_prepare("dataset=inria", f"dataset.root={tmp_path}/inria", f"download={download}", *options, code=1)
    error = error_of(result)
    assert error.startswith("Error: 1 of 10 scenes failed: austin5: ") and "damaged" in error
    # Split, scenes, groups, regions, tiles.
    lines = [line.replace("│", " ").split()[:5] for line in result.stdout.splitlines() if "│" in line]
    assert lines == [["train", "3", "3", "2", "12"], ["valid", "2", "2", "2", "8"], ["test", "4", "4", "2", "16"]]
    assert (tmp_path / "inria" / "preparation.json").is_file()
    # Logs lie with those of the other commands, not in the way.
    assert {path.name for path in tmp_path.iterdir()} == {"download", "inria", "outputs"}


def prepare_config(monkeypatch, *overrides):
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("prepare", list(overrides))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "baqs, crowdai, deepglobe"),
        (["dataset=synthetic", "download=x"], "not synthetic"),
        (["dataset=gid"], "download is not set"),
        (["dataset=gid", "download=nowhere"], "x-ytong.github.io"),
        (["dataset=gid", "download=nowhere", "dataset.recipe.tile_size=0"], "dataset.recipe.tile_size"),
    ],
)
def test_what_is_missing_is_one_sentence(arguments, words, monkeypatch):
    with pytest.raises(RequestError, match=words) as caught:
        prepare.run(prepare_config(monkeypatch, *arguments))
    assert "\n" not in str(caught.value)


def test_a_wrong_request_is_exit_code_2(run_prepare):
    error = error_of(run_prepare("dataset=iria", "download=x", code=2))
    assert "iria" in error and "inria" in error


def test_a_finished_preparation_is_not_done_again(monkeypatch, tmp_path, caplog, capsys):
    download = archives.make_massachusetts(tmp_path / "download", size=20)
    config = prepare_config(
        monkeypatch,
        "dataset=massachusetts",
        f"download={download}",
        f"dataset.root={tmp_path}/tiles",
        "dataset.recipe.tile_size=32",
    )
    caplog.set_level("INFO")
    prepare.run(config)
    assert "done by an earlier run" not in caplog.text
    prepare.run(config)
    assert "6 scenes were done by an earlier run" in caplog.text
    config.overwrite = True
    caplog.clear()
    prepare.run(config)
    assert "done by an earlier run" not in caplog.text and "massachusetts" in capsys.readouterr().out


def test_help_answers_at_once(run_prepare, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    shown, composed = run_prepare("--help"), run_prepare("dataset=crowdai", "--cfg", "job")
    assert "segassess prepare dataset=NAME" in shown.stdout and light(shown)
    assert "annotation.json" in composed.stdout and light(composed)


def test_configs_of_a_wheel_are_those_in_the_package(tmp_path, monkeypatch):
    from segassess.cli.app import _places

    package = tmp_path / "site-packages" / "segassess"
    (package / "conf").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    assert _places(package) == (tmp_path, package / "conf")
    assert _places(ROOT / "src" / "segassess") == (ROOT, ROOT / "conf") == _places(ROOT)
