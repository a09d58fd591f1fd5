"""Commands that the documentation prints: all are run, shortened where they take long, but those that cannot be run here."""

import csv
import os
import re
import shlex
import shutil
import warnings
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch

from segassess.data.tiles import FolderTiles
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.export.onnx_file import write_onnx
from segassess.models.segmenters.architectures import build_segmenter, resolved_spec
from segassess.models.segmenters.fitted import FULL, FittedSegmenter, fold_file
from segassess.models.segmenters.trained_segmenter import SegmenterDescription, save_segmenter
from segassess.predict.drawing import draw_masks
from segassess.quality import FP, TP
from tests.cli.conftest import *  # noqa: F403 - the fixtures checkpoint and trained
from tests.cli.scripts import QUICK, run_fresh, run_script
from tests.conftest import ROOT, SHARED
from tests.prepare.archives import make_all

PAGES = [ROOT / "README.md", ROOT / "checkpoints" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


# Commands that Hydra only composes here, and why; all others run, small, on data that stand in for the reader's.
COMPOSED_ONLY = {
    r"trainer=gpu|trainer=ddp": "needs GPUs or processes; tests/cli/test_predict_processes.py runs two",
    r"encoder=sam_vit_b|encoder\.weights=sam_vit_b": "needs public weights",
    r"encoder=timm": "needs published weights; tests/models/assessor/test_timm_encoder.py trains from a small file",
    r"experiment=matrix$": "needs official downloads of six data sets, and hours",
    r"experiment=(benchmark|ablation)": "takes hours: trains up to 15 assessors; tests/cli/test_benchmark.py runs a small one",
    r"experiment=twin_lite0": "needs masks of a segmenter that was fitted in five folds for hours",
    r"experiment=shared_tiles_segmenters|shared_tiles_in_sample": "takes hours: fits five segmenters in five folds",
    r"experiment=(ams_comparison|transfer|shared_tiles_ams|compact_lite0)": "needs masks of fitted segmenters, or long trainings",
    r"output_dir=outputs/(damage|scaling)": "judges a town; tests/cli/test_damage.py and test_scaling.py run small ones",
    r"made=\[perturbed_gaps\]": "trains for minutes; tests/evaluation/test_fitted_layers.py fits smaller layers",
    r"s3://|https://": "needs a bucket; tests/cli/test_predict_buckets.py has one",
    r"engine=dask": "needs a cluster; tests/cli/test_predict_processes.py has one",
    r"fit=kept": "needs networks of an earlier run; tests/predict/fit/test_whole.py has some",
    r"hparams_search=|experiment=quick|debug=": "trains several times, as test_search.py and test_debug.py do",
}
# Where commands stand, and how a line begins that is none for these tests (tests/test_makefile.py has those of make).
BLOCKS, OTHERS = r"```(?:bash|sh|shell|console)\n(.*?)```", ("make ", "#")


def printed_lines() -> list[str]:
    """Lines of all blocks of the documentation that a shell reads."""
    blocks = [block for page in PAGES for block in re.findall(BLOCKS, page.read_text(), re.S)]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return sorted({line.split("  #")[0].strip() for line in lines} - {""})


def commands() -> list[str]:
    return [line for line in printed_lines() if not line.startswith(OTHERS)]


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
    page = (ROOT / "docs" / "how-to" / "add-a-baseline.md").read_text()
    (here / "stored_maps.py").write_text(re.search(r'title="stored_maps.py"\n(.*?)```', page, re.S)[1])
    (here / "maps").mkdir()
    (here / "maps" / "alpha").symlink_to(test / "seg_preds" / "alpha")
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
    (here / "checkpoints").symlink_to(ROOT / "checkpoints")
    stand_ins = {"root=DIR": data, "checkpoint=FILE": checkpoint, "networks=FILE": network, "resume=RUN": trained}
    stand_ins["segmenters DIR"] = network.parent
    graph = here / "assessor.onnx"
    write_onnx(graph, load_assessor(checkpoint))
    # Before FILE alone, which they begin with.
    stand_ins = {"checkpoint=FILE.onnx": graph, "torch_free FILE.onnx": graph, **stand_ins}
    georef = "../shared/data/georef/banepa_"
    stand_ins |= {f"image={georef}rgb.tif": here / "a.tif", f"mask={georef}mask.tif": here / "b.tif"}
    stand_ins[f"mask={georef}buildings.geojson"] = here / "c.gpkg"
    stand_ins["input=DIR"] = predicted(here, checkpoint)
    stand_ins["input=OUT"] = predicted(here, checkpoint, *georeferenced(here))
    (here / "decisions.csv").write_text("feature,object,accept\n1,,no\n")
    stand_ins["decisions=decisions.csv"] = here / "decisions.csv"
    stand_ins |= {
        "queue=QUEUE": queue(stand_ins["input=OUT"], here),
        "truth=c.gpkg": here / "geo.gpkg",
        "masks=mended.gpkg": here / "geo.gpkg",
    }
    sample = sampled(stand_ins["input=DIR"], here)
    run_script("segassess", "calibrate", f"sample={sample}", f"output={here / 'corrected'}")
    stand_ins["calibration=SAMPLE/calibration.json"] = here / "corrected" / "calibration.json"
    stand_ins |= {"sample=SAMPLE answers=answers.csv": sample / "sample.csv", "sample=SAMPLE": sample}
    for edition in ("old", "new"):
        (here / f"{edition}.gpkg").write_bytes((here / "c.gpkg").read_bytes())
    stand_ins["input=EDITIONS"] = predicted(here, checkpoint, "a.tif", "old.gpkg", "new.gpkg")
    stand_ins |= {"answers=answers.csv": here / "queue" / "findings.csv", "truth=b.tif": here / "b.tif"}
    stand_ins["scenes=100000"] = 500
    stand_ins |= {f"{name} download=DIR": folder for name, folder in make_all(here / "downloads").items()}
    return here, stand_ins


def predicted(here, checkpoint, image="a.tif", *masks):
    """What predict.py leaves of the image that the page names."""
    masks = masks or ("b.tif",)
    output = here / f"predicted_{masks[0][:-4]}"
    paths = f"image={here / image}", f"mask={','.join(str(here / mask) for mask in masks)}", f"output_dir={output}"
    run_script("predict", *paths, f"checkpoint={checkpoint}", f"hydra.run.dir={here}/log")
    return output


def georeferenced(here):
    """The image, and a layer of two polygons, with a CRS."""
    place = rasterio.transform.from_origin(500_000, 9_300_000, 0.5, 0.5)
    with rasterio.open(here / "a.tif") as image:
        pixels = image.read()
    about = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": pixels.shape[1], "width": pixels.shape[2]}
    with rasterio.open(here / "geo.tif", "w", crs="EPSG:32736", transform=place, **about) as file:
        file.write(pixels)
    roofs = [shapely.box(500_005 + x, 9_299_985, 500_012 + x, 9_299_995) for x in (0, 12)]
    roofs = shapely.to_wkb(np.array(roofs, object))
    pyogrio.raw.write(here / "geo.gpkg", roofs, [], [], geometry_type="Polygon", crs="EPSG:32736")
    return "geo.tif", "geo.gpkg"


def sampled(folder, here):
    """A sample, answered as if the mask were right."""
    output = here / "sampled"
    run_script("segassess", "sample", f"input={folder}", f"output={output}", "looks=600")
    with rasterio.open(next(folder.glob("*/quality.tif"))) as file:
        inside = np.isin(file.read(1), (TP, FP))
    rows = list(csv.DictReader((output / "sample.csv").open()))
    for row in rows:
        row["answer"] = "object" if inside[int(row["row"]), int(row["column"])] else "background"
    with (output / "sample.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    return output


def queue(folder, here):
    """A queue of findings, for MapRoulette."""
    run_script("segassess", "queue", f"input={folder}", f"output={here / 'queue'}", "to=maproulette", "min_area=0")
    return here / "queue"


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
    programs = {re.sub(r"(\w+=\S+ )*(python (-m )?)?(\S+).*", r"\4", command) for command in commands()}
    modules = {
        "segassess.models.segmenters",
        "segassess.predict.torch_free",
        "segassess.cli.reviewer",
        "segassess.cli.sampling_gain",
        "segassess.cli.simulated_cluster",
    }
    assert programs == {"train.py", "evaluate.py", "predict.py", "export.py", "segassess", *modules}


def test_named_files_exist():
    named = {(page, path) for page in PAGES for path in re.findall(r"`((?:src|tests|conf|docs)/[\w./-]+)`", page.read_text())}
    assert named
    assert not [f"{path} in {page.name}" for page, path in named if not (ROOT / path).exists()]


def reasons(command: str) -> list[str]:
    return [reason for pattern, reason in COMPOSED_ONLY.items() if re.search(pattern, command)]


def shows(command: str) -> bool:
    return "--help" in command or "--cfg" in command


def test_what_is_only_composed_is_counted():
    composed = [command for command in commands() if reasons(command)]
    assert len(composed) == 73 and len(commands()) - len(composed) >= 55
    unused = [pattern for pattern in COMPOSED_ONLY if not any(re.search(pattern, command) for command in composed)]
    assert not unused


@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=() if shows(each) or reasons(each) else pytest.mark.slow) for each in commands()],
)
def test_documented_command(command, places, tmp_path, monkeypatch):
    here, stand_ins = places
    for place, path in stand_ins.items():
        command = re.sub(rf"{place}\b", place.removesuffix(re.split("[ =]", place)[-1]) + str(path), command)
    variables, command = re.fullmatch(r"((?:\w+=\S+ )*)(.*)", command).groups()
    for name, _, value in (setting.partition("=") for setting in variables.split()):
        monkeypatch.setenv(name, os.pathsep.join([value, *filter(None, [os.environ.get(name)])]))
    script, *arguments = shlex.split(command.removeprefix("python ").removeprefix("-m "))
    name = script.removesuffix(".py")
    if name.startswith("segassess"):
        roots = ["paths.data_dir=."] if arguments[:1] == ["prepare"] else []
        arguments = [str(here / argument) if argument in ("a.tif", "b.tif") else argument for argument in arguments]
        # Dask starts processes that import the program again.
        (run_fresh if "simulated" in name else run_script)(name, *arguments, *roots, cwd=tmp_path)
    elif shows(command):
        run_script(name, *arguments)
    elif reasons(command):
        # Hydra shows the config of one run: of a sweep, the first.
        first = [re.sub(r"=([^,\[]+),.*", r"=\1", argument) for argument in arguments if argument != "-m"]
        run_script(name, *first, "--cfg", "job")
    else:
        if re.search(ON_SHARED_TILES, command) and not (SHARED / "data").is_dir():
            pytest.skip("the folder ../shared/data with real tiles is missing")
        # Launchers start processes of their own, from the command line; variables count when Python starts.
        run = run_fresh if variables or re.search("launcher=|trainer=ddp|engine.workers", command) else run_script
        run(name, *shortened(name, arguments, here, tmp_path), f"paths.output_root={tmp_path}", cwd=here)


# Experiments that choose the data set dataset=shared_tiles.
ON_SHARED_TILES = r"shared_tiles|experiment=(transfer|ams_comparison|compact_lite0)"


def shortened(name: str, arguments: list[str], here: Path, output: Path) -> list[str]:
    """Arguments of a script that does as much as can be done in seconds."""
    command = " ".join(arguments)
    arguments = [re.sub(r"^output_dir=.*", f"output_dir={output}/out", argument) for argument in arguments]
    arguments = [re.sub("n_trials=8", "n_trials=2", argument) for argument in arguments]
    segments = "task=segmenter" in arguments or "task=crossfit" in arguments
    if (name == "predict" and segments) or "sampling=ams_online" in arguments:
        arguments += [f"paths.segmenters={here / 'segmenters'}"]
    if "task=scaling" in arguments:
        arguments = [argument for argument in arguments if not argument.startswith("scaling.sizes")]
        arguments += ["scaling.sizes=[[64,64]]", "scaling.windows=[[64,0],[64,32]]"]
    elif "task=damage" in arguments:
        arguments = [argument.replace("emptied_px=1536", "emptied_px=64") for argument in arguments]
        arguments += ["damage.removed=1", "damage.shifted=0", "damage.invented=0"]
    elif name not in ("predict", "export") and not segments:
        arguments += ["trainer.enable_progress_bar=false", "trainer.limit_test_batches=2"]
        arguments += [] if "baselines=" in command else ["baselines=[always_right]"]
    if name == "train":
        arguments += ["sampling.crop=64", "sampling.images_per_batch=2"] if segments else QUICK[:-2]
        if "assessor=" in command:
            arguments.remove("assessor.depth=1")  # of the default assessor
        arguments += ["trainer.limit_train_batches=2", "trainer.limit_val_batches=2", "trainer.check_val_every_n_epoch=1"]
        arguments += ["trainer.max_epochs=2" if "resume=" in command else "trainer.max_epochs=1"]
        if "dataset=" not in command and not re.search(ON_SHARED_TILES, command):
            arguments += ["dataset.train=3", "dataset.valid=2", "dataset.test=2", f"paths.data_dir={output}"]
    if "-m" not in arguments:
        arguments += [f"hydra.run.dir={output}/run"]
    return arguments
