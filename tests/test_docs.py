"""Every command that the documentation prints is run, shortened where it would train for long."""

import re
import shlex
import shutil
import warnings

import numpy as np
import pyogrio
import pytest
import shapely
import torch

from segassess.data.tiles import FolderTiles
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.export.onnx_file import write_onnx
from segassess.models.segmenters.architectures import build_segmenter, resolved_spec
from segassess.models.segmenters.fitted import FULL, FittedSegmenter, fold_file
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, save_segmenter
from segassess.predict.drawing import draw_masks
from tests.cli.conftest import *  # noqa: F403 - the fixtures checkpoint and trained
from tests.cli.scripts import QUICK, run_script
from tests.conftest import ROOT, SHARED
from tests.prepare.archives import make_all

PAGES = [ROOT / "README.md", ROOT / "checkpoints" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


# What needs GPUs, public weights or data that are not here, or trains several times.
COMPOSED_ONLY = (
    r"trainer=ddp|trainer=gpu|experiment=paper|sam_vit_b|best\.pkl|train\.py experiment=(matrix|transfer|ams_)|experiment=matrix$"
    r"|experiment=shared_tiles_(ams|segmenters)|experiment=(benchmark|ablation|compact_lite0|twin_lite0)|shared_tiles_in_sample|output_dir=outputs/(damage|scaling)"
    r"|experiment=quick|hparams_search=|debug="
)


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.S):
            lines = [line.strip() for line in block.splitlines()]
            found += [line.split("  #")[0].strip() for line in lines if line.startswith(("python ", "segassess "))]
    return sorted(set(found))


@pytest.fixture(scope="session")
def places(tiny_folder, trained, checkpoint, tmp_path_factory):
    """What stands for the documentation's placeholders."""
    here = tmp_path_factory.mktemp("docs")
    data = here / "data"
    shutil.copytree(tiny_folder, data)
    network = segmenter(data, here / "segmenters" / "folder" / "unetformer")
    test = data / "test"
    (here / "images").symlink_to(test / "image")
    (here / "masks").symlink_to(test / "seg_preds" / "alpha")
    (here / "pairs.csv").write_text(f"image,mask\n{test}/image/test_0.png,{test}/seg_preds/alpha/test_0.png\n")
    (here / "a.tif").write_bytes((test / "image" / "test_0.png").read_bytes())
    (here / "b.tif").write_bytes((test / "seg_preds" / "alpha" / "test_0.png").read_bytes())
    (here / "classes.tif").write_bytes((here / "b.tif").read_bytes())
    roof = shapely.to_wkb(np.array([shapely.box(10, 10, 40, 30)], object))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        pyogrio.raw.write(here / "c.gpkg", roof, [], [], geometry_type="Polygon", crs=None)
    for script in ("train", "evaluate", "predict", "export"):
        (here / f"{script}.py").symlink_to(ROOT / f"{script}.py")
    stand_ins = {"root=DIR": data, "checkpoint=FILE": checkpoint, "networks=FILE": network, "resume=RUN": trained}
    stand_ins["segmenters DIR"] = network.parent
    graph = here / "assessor.onnx"
    write_onnx(graph, load_assessor(checkpoint))
    # Before FILE alone, which they begin with.
    stand_ins = {"checkpoint=FILE.onnx": graph, "torch_free FILE.onnx": graph, **stand_ins}
    stand_ins["input=DIR"] = predicted(here, checkpoint)
    stand_ins |= {f"{name} download=DIR": folder for name, folder in make_all(here / "downloads").items()}
    return here, stand_ins


def predicted(here, checkpoint):
    """What predict.py leaves of the image that the page names."""
    arguments = [f"{key}={here / file}" for key, file in {"image": "a.tif", "mask": "b.tif", "output_dir": "predicted"}.items()]
    run_script("predict", *arguments, f"checkpoint={checkpoint}", f"hydra.run.dir={here}/log")
    return here / "predicted"


def segmenter(data, folder):
    """A segmenter fitted in two folds, and its masks; gives the file of its first network."""
    spec = resolved_spec({"name": "unetformer", "size": "small", "pretrained": False, "width": 24})
    network = build_segmenter(spec).eval()
    names = [tile.key for tile in FolderTiles(data).tiles("train")]
    for file, seen in ((FULL, names), (fold_file(0), names[::2]), (fold_file(1), names[1::2])):
        save_segmenter(folder / file, network, SegmenterDescription(spec, 0.5, tuple(seen)))
    for split in ("train", "valid", "test"):
        draw_masks(FittedSegmenter.load(folder, "unetformer"), FolderTiles(data), split, device=torch.device("cpu"))
    return folder / FULL


def test_there_are_commands_for_every_script():
    programs = {re.sub(r"(python (-m )?)?(\S+).*", r"\3", command) for command in commands()}
    modules = {
        "segassess.models.segmenters",
        "segassess.predict.torch_free",
    }
    assert programs == {"train.py", "evaluate.py", "predict.py", "export.py", "segassess", *modules}


def composes(command: str) -> bool:
    return re.search(r"--help|--cfg|" + COMPOSED_ONLY, command) is not None


@pytest.mark.parametrize(
    "command", [pytest.param(command, marks=() if composes(command) else pytest.mark.slow) for command in commands()]
)
def test_documented_command(command, places, tmp_path):
    here, stand_ins = places
    for place, path in stand_ins.items():
        command = re.sub(rf"{place}\b", place.removesuffix(re.split("[ =]", place)[-1]) + str(path), command)
    script, *arguments = shlex.split(command.removeprefix("python ").removeprefix("-m "))
    name = script.removesuffix(".py")
    if name.startswith("segassess"):
        roots = ["paths.data_dir=."] if arguments[0] == "prepare" else []
        arguments = [str(here / argument) if argument in ("a.tif", "b.tif") else argument for argument in arguments]
        run_script(name, *arguments, *roots, cwd=tmp_path)
        return
    if "--help" in arguments or "--cfg" in arguments:
        run_script(name, *arguments)
        return
    if re.search(COMPOSED_ONLY, command):
        # Hydra shows the config of one run: of a sweep, the first.
        first = [re.sub(r"=([^,\[]+),.*", r"=\1", argument) for argument in arguments if argument != "-m"]
        run_script(name, *first, "--cfg", "job")
        return
    if "shared_tiles" in command and not (SHARED / "data").is_dir():
        pytest.skip("the folder ../shared/data with real tiles is missing")
    arguments = [f"output_dir={tmp_path}/out" if argument == "output_dir=out" else argument for argument in arguments]
    segments = "task=segmenter" in arguments or "task=crossfit" in arguments
    if (name == "predict" and segments) or "sampling=ams_online" in arguments:
        arguments += [f"paths.segmenters={here / 'segmenters'}"]
    if "task=scaling" in arguments:
        arguments += ["scaling.sizes=[[64,64]]", "scaling.windows=[[64,0],[64,32]]"]
    elif "task=damage" in arguments:
        arguments += ["damage.removed=1", "damage.shifted=0", "damage.invented=0"]
    elif name not in ("predict", "export") and not segments:
        arguments += ["trainer.enable_progress_bar=false", "trainer.limit_test_batches=2", "baselines=[always_right]"]
    if name == "train":
        arguments += ["sampling.crop=64", "sampling.images_per_batch=2"] if segments else QUICK[:-2]
        if "assessor=" in command:
            arguments.remove("assessor.depth=1")  # of the default assessor
        arguments += ["trainer.limit_train_batches=2", "trainer.limit_val_batches=2"]
        arguments += ["trainer.max_epochs=2" if "resume=" in command else "trainer.max_epochs=1"]
        if "dataset=" not in command and "shared_tiles" not in command:
            arguments += ["dataset.train=3", "dataset.valid=2", "dataset.test=2", f"paths.data_dir={tmp_path}"]
    if "-m" not in arguments:
        arguments += [f"hydra.run.dir={tmp_path}/run"]
    run_script(name, *arguments, f"paths.output_root={tmp_path}", cwd=here)
