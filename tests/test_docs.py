"""Every command that the documentation prints is run, shortened where it would train for long."""

import re
import shlex

import pytest

from tests.conftest import ROOT, SHARED
from tests.pipelines.conftest import *  # noqa: F403 - the fixtures checkpoint and trained
from tests.pipelines.scripts import QUICK, run_script

PAGES = [ROOT / "README.md", ROOT / "checkpoints" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


# What needs GPUs or public weights that are not here.
COMPOSED_ONLY = r"trainer=ddp|trainer=gpu|experiment=paper|sam_vit_b|best\.pkl"


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.S):
            found += [line.split("  #")[0].strip() for line in block.splitlines() if line.startswith("python ")]
    return sorted(set(found))


@pytest.fixture(scope="session")
def places(tiny_folder, trained, checkpoint, tmp_path_factory):
    """What stands for the documentation's placeholders."""
    here = tmp_path_factory.mktemp("docs")
    test = tiny_folder / "test"
    (here / "images").symlink_to(test / "image")
    (here / "masks").symlink_to(test / "seg_preds" / "alpha")
    (here / "pairs.csv").write_text(f"image,mask\n{test}/image/test_0.png,{test}/seg_preds/alpha/test_0.png\n")
    (here / "a.tif").write_bytes((test / "image" / "test_0.png").read_bytes())
    (here / "b.tif").write_bytes((test / "seg_preds" / "alpha" / "test_0.png").read_bytes())
    for script in ("train", "evaluate", "predict"):
        (here / f"{script}.py").symlink_to(ROOT / f"{script}.py")
    return here, {"DIR": str(tiny_folder), "FILE": str(checkpoint), "RUN": str(trained)}


def test_there_are_commands_for_every_script():
    assert {command.split()[1] for command in commands()} == {"train.py", "evaluate.py", "predict.py"}


def trains(command: str) -> bool:
    return command.startswith("python train.py") and not re.search(r"--help|--cfg|" + COMPOSED_ONLY, command)


@pytest.mark.parametrize(
    "command", [pytest.param(command, marks=pytest.mark.slow if trains(command) else ()) for command in commands()]
)
def test_documented_command(command, places, tmp_path):
    here, names = places
    _, script, *arguments = shlex.split(command)
    arguments = [re.sub(r"(?<==)(DIR|FILE|RUN)\b", lambda match: names[match[0]], argument) for argument in arguments]
    name = script.removesuffix(".py")
    if "--help" in arguments or "--cfg" in arguments:
        run_script(name, *arguments)
        return
    if re.search(COMPOSED_ONLY, command):
        run_script(name, *arguments, "--cfg", "job")
        return
    if "shared_tiles" in command and not (SHARED / "data").is_dir():
        pytest.skip("the folder ../shared/data with real tiles is missing")
    arguments = [f"output_dir={tmp_path}/out" if argument == "output_dir=out" else argument for argument in arguments]
    if name != "predict":
        arguments += ["trainer.enable_progress_bar=false", "trainer.limit_test_batches=2", "rivals=[always_right]"]
    if name == "train":
        arguments += [*QUICK[:-2], "trainer.limit_train_batches=2", "trainer.limit_val_batches=2"]
        arguments += ["trainer.max_epochs=2" if "resume=" in command else "trainer.max_epochs=1"]
        if "dataset=" not in command and "shared_tiles" not in command:
            arguments += ["dataset.train=3", "dataset.valid=2", "dataset.test=2", f"paths.data_dir={tmp_path}"]
    if "-m" not in arguments:
        arguments += [f"hydra.run.dir={tmp_path}/run"]
    run_script(name, *arguments, f"paths.output_root={tmp_path}", cwd=here)
