"""Segmenters as a user works with them: cross-fit, draw, train on their masks from folders and online."""

import shutil

import pytest
import torch

from segassess.data.mask_records import MaskRecord, append_record, read_records
from segassess.models.assessor.trained_assessor import load_assessor
from segassess.models.segmenters.trained_segmenter import load_segmenter, read_description
from tests.cli.scripts import QUICK, error_of, run_script

SMALL = ("segmenter/size=small", "segmenter.pretrained=false", "segmenter.width=24")
FAST = ("trainer.max_epochs=1", "sampling.crop=48", "trainer.enable_progress_bar=false")


@pytest.fixture(scope="module")
def root(tiny_folder, tmp_path_factory):
    """A copy of the tiny data set with masks of a cross-fitted segmenter, and the folder of its networks."""
    here = tmp_path_factory.mktemp("crossfit")
    shutil.copytree(tiny_folder, here / "data")
    result = run_script("train", *command(here, "crossfit"))
    assert "fold1" in result.stdout and "Masks of unetformer" in result.stdout
    return here


def places(here) -> list[str]:
    return ["dataset=folder", f"dataset.root={here / 'data'}", f"paths.output_root={here / 'out'}"]


def command(here, task: str) -> list[str]:
    return [f"task={task}", *places(here), *SMALL, *FAST]


def networks(root):
    return root / "out" / "segmenters" / "folder" / "unetformer"


def test_no_training_mask_is_of_a_network_that_saw_the_image(root):
    seen = {file.stem: set(read_description(file).trained_on) for file in networks(root).glob("*.safetensors")}
    assert seen["fold0"] | seen["fold1"] == seen["full"] == {f"train/train_{number}" for number in range(8)}
    assert not seen["full"] - seen["fold0"] & seen["full"] - seen["fold1"]
    expected = {"train": "no", "valid": "selected", "test": "no"}
    for split, word in expected.items():
        folder = root / "data" / split / "seg_preds" / "unetformer"
        records = read_records(folder)
        assert {record.seen for record in records.values()} == {word}
        assert {path.stem for path in folder.glob("*.tif")} == records.keys()


@pytest.mark.slow
def test_the_same_command_again_keeps_everything_and_other_settings_are_refused(root):
    stamps = {file: file.stat().st_mtime_ns for file in networks(root).glob("*.safetensors")}
    result = run_script("train", *command(root, "crossfit"))
    assert result.stdout.count("complete from an earlier run") == 3
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    error = error_of(run_script("train", *command(root, "crossfit"), "optimizer.factory.lr=0.01", code=2))
    assert "full.safetensors was trained with other settings" in error and "overwrite=true" in error


def test_networks_of_another_data_set_with_the_same_names_are_refused(root, tmp_path):
    shutil.copytree(root / "data", tmp_path / "data", ignore=shutil.ignore_patterns("unetformer"))
    for name in ("train_0.png", "train_1.png"):
        shutil.copyfile(root / "data" / "train" / "image" / "train_2.png", tmp_path / "data" / "train" / "image" / name)
    error = error_of(run_script("train", *command(root, "crossfit"), f"dataset.root={tmp_path / 'data'}", code=2))
    assert "full.safetensors was trained on other data" in error and "dataset.name" in error


@pytest.mark.slow
def test_drawing_again_and_a_threshold(root):
    drawing = ["task=segmenter", "segmenter=unetformer", *places(root), "trainer.enable_progress_bar=false"]
    result = run_script("predict", *drawing, "split=[valid,test]", "threshold=0.45", "probabilities=true")
    assert "valid" in result.stdout and "test" in result.stdout
    folder = root / "data" / "test" / "seg_preds" / "unetformer"
    assert len(list((folder / "probability").glob("*.tif"))) == 3
    assert {record.threshold for record in read_records(folder).values()} == {0.45}
    assert "threshold" in error_of(run_script("predict", *drawing, "threshold=1.5", code=2))
    assert "segmenter" in error_of(run_script("predict", *drawing, "task=draw", code=2))


@pytest.mark.slow
def test_online_sampling_trains_on_masks_that_are_drawn_in_the_step(root):
    arguments = [*places(root), "sampling=ams_online", *QUICK, "baselines=[]", "trainer.limit_test_batches=1"]
    result = run_script("train", *arguments, f"hydra.run.dir={root / 'online'}")
    assert "masks of unetformer" in result.stdout and (root / "online" / "assessor.safetensors").is_file()
    held_out = run_script("train", *arguments, "held_out=[unetformer]", code=2)
    assert "no fitted segmenter" in error_of(held_out) and "not held out" in error_of(held_out)


@pytest.mark.slow
def test_the_published_recipes_train_on_a_processor(tiny_folder, tmp_path):
    """Those of the segmenters and of the assessor that judges their masks as they are drawn."""
    shutil.copytree(tiny_folder, tmp_path / "data")
    shared = [*places(tmp_path), "trainer=cpu", *FAST]
    run_script("train", "task=crossfit", "experiment=paper_segmenters", "segmenter=unetformer", *shared, *SMALL)
    paper = "experiment=paper", "encoder=sam_vit_tiny", "sampling.sources=[unetformer]", "evaluate=false"
    run_script("train", *paper, *shared, f"hydra.run.dir={tmp_path / 'paper'}")
    assert load_assessor(tmp_path / "paper" / "assessor.safetensors").description.decoding == "free"


def test_no_segmenter_passes_under_the_name_of_another(root):
    """A held-out one least of all."""
    other = root / "out" / "segmenters" / "folder" / "mine"
    other.symlink_to("unetformer")
    arguments = [*places(root), "sampling=ams_online", "sampling.sources=[mine]", "held_out=[unetformer]", *QUICK]
    try:
        assert "holds networks of unetformer, not of mine" in error_of(run_script("train", *arguments, code=2))
    finally:
        other.unlink()


def test_masks_of_seen_images_are_refused(root):
    folder = root / "data" / "train" / "seg_preds" / "alpha"
    append_record(folder, MaskRecord("train_2", "alpha", "0" * 16, 0.5, "trained"))
    arguments = [*places(root), *QUICK, "sampling.sources=[alpha,beta]"]
    assert "such as train_2" in error_of(run_script("train", *arguments, code=2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segmenter.encodr=resnet18"], "segmenter.encodr"),
        (["segmenter=segformer"], "unetformer"),
        (["loss=compact"], "loss.weights"),
        (["task=segmentor"], "assessor, crossfit, segmenter"),
        (["task=crossfit", "sampling.selection_share=0.1"], "sampling.selection_share must be 0"),
    ],
)
def test_a_wrong_request_is_one_sentence(tiny_folder, tmp_path, arguments, words):
    folders = ["dataset=folder", f"dataset.root={tiny_folder}", f"paths.output_root={tmp_path}"]
    error = error_of(run_script("train", "task=segmenter", *folders, *SMALL, *FAST, *arguments, code=2))
    assert words in error


@pytest.mark.slow
def test_a_training_goes_on_with_the_tiles_it_began_with(root, tmp_path):
    (run,) = (path.parent for path in (root / "out" / "crossfit").glob("*/full"))
    arguments = [*command(root, "segmenter"), f"networks={tmp_path}/networks", f"hydra.run.dir={tmp_path}/run"]
    run_script("train", *arguments, "trainer.max_epochs=2", f"resume={run}/full")
    assert len(read_description(tmp_path / "networks" / "full.safetensors").trained_on) == 8
    error = error_of(run_script("train", *arguments, f"resume={run}/fold0", code=2))
    assert "fold0" in error and "resume" in error


def test_a_segmenter_starts_the_encoder_of_an_assessor(tiny_folder, tmp_path):
    here = ["dataset=folder", f"dataset.root={tiny_folder}"]
    split = "sampling.selection_share=0.25"
    run_script("train", "task=segmenter", *here, *SMALL, *FAST, split, f"networks={tmp_path}", f"hydra.run.dir={tmp_path}/seg")
    file = tmp_path / "full.safetensors"
    own = read_description(file)
    assert own.trained_on and own.selected_on and not set(own.trained_on) & set(own.selected_on)
    assert len(own.trained_on) + len(own.selected_on) == 8, "the validation split takes no part"
    # Not one step: the backbone stays as it was taken.
    options = [split, f"encoder.weights={file}", "trainer.max_epochs=0", "calibration.kind=none", "calibration.cuts=false"]
    result = run_script("train", *here, *QUICK, *options, "evaluate=false", f"hydra.run.dir={tmp_path}/run")
    assert f"the backbone of unetformer, which learned from {len(own.trained_on)} tiles" in result.stdout + result.stderr
    taken = load_assessor(tmp_path / "run" / "assessor.safetensors").assessor.state_dict()
    theirs = load_segmenter(file).segmenter.state_dict()
    name = "backbone.blocks.6.0.conv_pw.weight"
    assert torch.equal(taken[f"image_encoder.{name}"], theirs[f"encoder.{name}"])
