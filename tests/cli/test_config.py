"""Every config composes, every node can be set up, and a typo anywhere is an error that names it."""

import inspect
import os
import re
import shlex
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import get_class
from omegaconf import OmegaConf

from segassess.cli import build, build_training, config_reference
from segassess.cli import validation as validation
from segassess.cli.composition import OVERRIDING_GROUPS
from segassess.cli.validate import main as validate_command
from segassess.errors import ConfigError
from segassess.experiments.exits import sentence
from segassess.models.assessor.compositions import ASSESSORS
from segassess.models.assessor.encoders.names import ENCODERS
from tests.cli.scripts import error_of, light, run_fresh, run_script
from tests.conftest import ROOT

CONF = ROOT / "conf"
OPTIONS = [
    (path.parent.name, path.stem)
    for path in sorted(CONF.glob("*/*.yaml"))
    if path.parent.name not in ("hydra", "paths", *OVERRIDING_GROUPS)
]
NAMED = [(path.parent.name, path.stem) for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name in OVERRIDING_GROUPS]
SCRIPTS = [path.stem for path in sorted(CONF.glob("*.yaml"))]
REQUIRED = {
    "predict": ["image=a.tif", "mask=b.tif", "output_dir=out"],
    "export": ["output_dir=out"],
    "predict_segmenter": ["segmenter=hrnet", "dataset=synthetic"],
    "evaluate_damage": ["image=a", "mask=b", "output_dir=c"],
    "evaluate_scaling": ["image=a", "mask=b", "output_dir=c"],
}
# What belongs to the configs of segmenters.
OF_SEGMENTERS = {("loss", "segmentation"), ("experiment", "shared_tiles_segmenters"), ("experiment", "paper_segmenters")}


def script_of(group: str, option: str) -> str:
    """A config that has this option."""
    if option.startswith(("benchmark", "ablation")):
        return "evaluate"
    if group in ("fit", "engine"):
        return "predict"
    return "train_segmenter" if group == "segmenter" or (group, option) in OF_SEGMENTERS else "train"


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.setenv("SEGASSESS_ROOT", str(ROOT))


# Keys that an option of a group cannot do without.
NEEDED = {"folder": ["dataset.root=DIR"], "kept": ["fit.folder=DIR"], "dask": ["engine.scheduler=tcp://HOST:8786"]}


def composed(name: str, *overrides: str):
    return validation.composed(name, overrides, CONF)


@pytest.mark.parametrize("name", SCRIPTS)
def test_defaults_compose_and_know_their_own_keys(name):
    composed(name, *REQUIRED.get(name, []))


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group, option):
    script = script_of(group, option)
    needed = NEEDED.get(option, [])
    config = composed(script, f"{group}={option}", *REQUIRED.get(script, []), *needed)
    OmegaConf.to_container(config, resolve=group != "dataset", throw_on_missing=False)


@pytest.mark.parametrize(("group", "option"), NAMED)
def test_every_preset_is_valid(group, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script, _, task = script_of(group, option).partition("_")
    file = validation.validate(script, [f"{group}={option}", *([f"task={task}"] if task else [])], CONF)
    assert "${" not in file.read_text()


@pytest.mark.parametrize("launcher", [path.stem for path in sorted((CONF / "hydra" / "launcher").glob("*.yaml"))])
def test_launchers_take_their_keys(launcher):
    """Plugins take any keyword; what they take is in their own configs."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        ours = compose("train", [f"hydra/launcher={launcher}"], return_hydra_config=True).hydra.launcher
        plugin = {"parallel": "joblib", "local_jobs": "submitit_local", "slurm": "submitit_slurm"}[launcher]
        theirs = compose("train", [f"hydra/launcher={plugin}"], return_hydra_config=True).hydra.launcher
    assert ours._target_ == theirs._target_ and set(ours) <= set(theirs)


def test_the_sweeper_of_searches_takes_its_keys():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose("train", ["hydra/sweeper=search"], return_hydra_config=True).hydra.sweeper
    assert set(node) - {"_target_"} == set(inspect.signature(get_class(node._target_)).parameters)


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "trainer"])
def test_trainer_keys_are_lightning_s(option):
    node = composed("train", f"trainer={option}").trainer
    known = set(inspect.signature(get_class(node._target_)).parameters)
    assert set(node) - {"_target_"} <= known


@pytest.mark.parametrize("option", ["default", "averaged", "none"])
def test_callbacks_can_be_set_up(option):
    assert build_training.callbacks(composed("train", f"callbacks={option}").callbacks)


@pytest.mark.parametrize("option", ["adam", "adamw"])
def test_optimizers_can_be_set_up(option):
    import torch

    factory, _ = build_training.optimizer(composed("train", f"optimizer={option}").optimizer)
    assert factory([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] > 0


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "dataset"])
def test_data_sets_can_be_set_up(option):
    node = composed("train", f"dataset={option}", *(["dataset.root=DIR"] if option == "folder" else [])).dataset
    assert isinstance(build.tileset(node), get_class(node._target_))


def test_what_describes_a_data_set_is_also_an_option_of_those_that_have_it():
    roads = build.tileset(composed("train", "dataset=synthetic", "dataset.object=road").dataset)
    assert roads.object == "road" and roads.root.name.startswith("road_")
    added = build.tileset(composed("train", "dataset=shared_tiles_and_scenes").dataset).added
    assert [tiles.object for tiles in added.values()] == ["building", "road", "water"]


@pytest.mark.parametrize("option", ["compact", "segassess"])
def test_losses_can_be_set_up(option):
    build_training.loss(composed("train", f"loss={option}").loss, "consistent")


def test_every_encoder_and_assessor_has_a_config():
    assert {path.stem for path in (CONF / "encoder").glob("*.yaml")} == set(ENCODERS)
    assert {path.stem for path in (CONF / "assessor").glob("*.yaml")} == set(ASSESSORS)
    for group, registry in (("encoder", ENCODERS), ("assessor", ASSESSORS)):
        for name in registry:
            node = OmegaConf.to_container(composed("train", f"{group}={name}", *NEEDED.get(name, []))[group])
            assert node["name"] == name


@pytest.mark.parametrize("assessor", ASSESSORS)
@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "sam_vit_tiny"])
def test_every_composition_can_be_built_from_its_config(assessor, encoder):
    config = composed("train", f"assessor={assessor}", f"encoder={encoder}")
    assessor_spec, encoder_spec, weights = build.architecture(config)
    assert assessor_spec is not None and encoder_spec is not None
    build.new_assessor(assessor_spec, encoder_spec, weights)


def test_every_file_says_what_it_is():
    for path in CONF.rglob("*.yaml"):
        first = next(line for line in path.read_text().splitlines() if "@package" not in line)
        assert first.startswith("# "), path


def test_the_reference_page_says_what_the_files_say(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == config_reference.reference(CONF), "run: python -m segassess.cli.config_reference"
    for group, option in OPTIONS + NAMED:
        assert f"### `{group}`" in page and f"| `{option}` |" in page
    monkeypatch.chdir(tmp_path)
    config_reference.main()
    assert (tmp_path / "docs" / "configuration.md").read_text() == page


@pytest.fixture
def typo(tmp_path):
    """A folder of experiments to be added to the search path."""

    def write(text: str) -> list[str]:
        folder = tmp_path / "experiment"
        folder.mkdir(exist_ok=True)
        (folder / "mine.yaml").write_text("# @package _global_\n" + text)
        return [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"]

    return write


@pytest.mark.parametrize("text", ["output: {geojson: true}\n", "output: {parquet: true}\n"])
def test_a_key_that_was_renamed_is_answered_with_the_new_one(typo, text):
    with pytest.raises(ConfigError, match=r"^output\.\w+ is output\.formats=\[gpkg,\w+\] now\.$"):
        composed("predict", *REQUIRED["predict"], *typo(text))


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("sed: 3\n", "sed", "seed"),
        ("optimizer: {factory: {lrr: 5}}\n", "optimizer.factory.lrr", "optimizer.factory.lr"),
        ("optimizer: {lr: 5}\n", "optimizer.lr", "optimizer.factory.lr"),
        ("trainer: {max_epoch: 5}\n", "trainer.max_epoch", "trainer.max_epochs"),
        ("loss: {weights: {dise: 5}}\n", "loss.weights.dise", "loss.weights.dice"),
        ("callbacks: {checkpoint: {mod: max}}\n", "callbacks.checkpoint.mod", "callbacks.checkpoint.mode"),
    ],
)
def test_a_typo_in_yaml_is_named_with_a_near_match(typo, text, name, hint):
    with pytest.raises(ConfigError, match=rf"^{re.escape(name)} is not a key.*did you mean {re.escape(hint)}\?"):
        composed("train", *typo(text))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("seed: many\n", "seed"),
        ("sampling: 3\n", "sampling"),
        ("encoder: {pretrained: perhaps}\n", r"encoder\.pretrained"),
        ("optimizer: {factory: {lr: fast}}\n", r"lr"),
    ],
)
def test_a_value_of_another_kind_is_named(typo, text, name):
    with pytest.raises(ConfigError, match=rf"{name} must be"):
        composed("train", *typo(text))


def test_what_experiments_may_do(typo):
    config = composed(
        "train",
        *typo(
            "defaults:\n  - override /dataset: shared_tiles\n"
            "callbacks:\n  early_stopping: null\n  timer: {_target_: lightning.pytorch.callbacks.Timer, duration: 00:01:00:00}\n"
            "held_out: [discriminant]\nsampling: {crop: 96}\n"
        ),
    )
    assert config.callbacks.early_stopping is None and config.callbacks.timer and config.sampling.crop == 96


def test_help_and_config_answer_at_once(monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    for script in ("train", "evaluate", "predict", "export"):
        for option in (["--help"], ["--cfg", "job"]):
            result = run_fresh(script, *option)
            assert light(result)
            assert "checkpoint" in result.stdout
            assert option != ["--help"] or "configuration.md" in result.stdout


def test_several_images_are_a_folder_a_glob_or_a_table(tmp_path):
    result = run_script("predict", "image=a.png,b.png", "mask=c.png", f"output_dir={tmp_path}", code=2)
    assert (
        "image=a.png,b.png has several values; give a folder, a glob or a CSV, image=\"'a.png,b.png'\" for one value"
        in error_of(result)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["optimizer.factory.lrr=1"], "optimizer.factory.lrr"),
        (["datset=folder"], "datset"),
        (["encoder=resnet9"], "efficientnet_lite0"),
        (["experiment=nothing"], "shared_tiles_quick"),
        (["+sed=3"], "sed is not a key"),
        (["dataset=folder"], "dataset.root"),
        (["trainer.max_epochs=[1"], "max_epochs"),
        (["optimizer.factory.lr=-1", "dataset.train=2"], "-1"),
        (["trainer.accelerator=quantum", "dataset.train=2"], "quantum"),
        (["sampling.crop=0"], "sampling.crop"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2(arguments, words, tmp_path):
    folders = f"paths.data_dir={tmp_path}", f"paths.output_root={tmp_path}"
    assert words in error_of(run_script("train", *arguments, *folders, code=2))


@pytest.mark.parametrize(
    "override", ["output.rim_px=2.5", "rendering.percentiles=5", "classes=[a]", "panel=2", "tiling={a:1}", "report_pictures=null"]
)
def test_a_value_that_is_not_allowed_is_one_sentence_and_exit_code_2(override, tmp_path):
    folders = f"output_dir={tmp_path}", f"paths.output_root={tmp_path}"
    assert override.partition("=")[0] in error_of(run_script("predict", "image=a", "mask=b", *folders, override, code=2))


@pytest.mark.parametrize(
    ("override", "typed"),
    [
        ("mask=my data/c (1).tif", "mask=\"'my data/c (1).tif'\""),
        ("image=it's (1).tif", "image=\"'it\\'s (1).tif'\""),
        ("mask=[a.tif,b (1).tif]", "mask=\"['a.tif','b (1).tif']\""),
        ("image=my data/a,b.tif", "image=\"'my data/a,b.tif'\""),
        ("source=a,b", "source=[a,b]"),
    ],
)
def test_what_is_to_be_typed_is_said_and_works(override, typed):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        script = "evaluate" if override.startswith("source") else "predict"
        with pytest.raises(HydraException) as error:
            compose(script, [override])
        assert f" {typed} for" in sentence(error.value) or f" {typed}." in sentence(error.value)
        assert "\n" not in sentence(error.value)
        (argument,) = shlex.split(typed)
        key, _, value = override.partition("=")
        listed = value.strip("[]").split(",") if "[" in typed else value
        assert compose(script, [argument])[key] == listed


def test_a_reader_may_leave():
    for arguments in (["--help"], ["--cfg", "job"]):
        command = [sys.executable, str(ROOT / "predict.py"), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            process.stdout.close()
            assert process.stderr.read() == ""


def test_no_environment_is_needed_to_compose(monkeypatch):
    monkeypatch.delenv("SEGASSESS_ROOT")
    assert "SEGASSESS_ROOT" not in os.environ
    run_fresh("train", "--cfg", "job", "--resolve")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "train, evaluate, predict, export, prepare"),
        (["train", "experiment=nothing"], "shared_tiles_quick"),
        (["train", "optimizer.factory.lrr=1"], "optimizer.factory.lrr"),
        (["train", "-m", "loss.dice_over=sample,tile"], "dice_over"),
        (["train", "trainer.precision=8"], "trainer.precision"),
        (["train", "calibration.kind=magic"], "calibration.kind"),
        (["train", "assessor=compact,segassess", "assessor.depth=2"], "assessor.depth"),
        (["train", "hparams_search=optuna", "trainer=ddp_cpu"], "trainer.strategy=ddp"),
        (["predict", "image=a"], "output_dir"),
        (["predict", "image=a", "output_dir=b", "tiling.window=100"], "tiling.window"),
        (["evaluate", "baselines=[nobody]"], "nobody"),
        (["prepare", "dataset=inria", "download=a", "overwrit=true"], "overwrit"),
    ],
)
def test_validate_names_what_is_wrong(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["validate", *arguments])
    with pytest.raises(SystemExit) as stopped:
        validate_command()
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.startswith("Error: ") and error.count("\n") == 1 and words in error
    assert not any(tmp_path.iterdir())


def test_validate_checks_each_run_of_a_sweep_and_both_ends_of_a_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(validation, "check_values", lambda config: seen.append((config.optimizer.factory.lr, config.seed)))
    validation.validate("train", ["seed=1,2", "optimizer.factory.lr=interval(0.1,0.2)"], CONF)
    assert seen == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]


def test_validate_answers_like_a_script():
    result = run_script("segassess", "validate", "predict", "image=a.tif", "mask=b.tif", "output_dir=out")
    assert result.stdout.startswith("Valid.")
