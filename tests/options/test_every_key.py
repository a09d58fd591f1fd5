"""Every key of every script refuses what it cannot be, in one sentence that names it, and accepts what it is."""

import math
from functools import cache

import pytest
from omegaconf import OmegaConf

from segassess.cli.composition import check_config, compose_run
from segassess.errors import ConfigError
from segassess.options.checking import _chosen, faults
from segassess.options.option import options_of
from segassess.options.scripts import SCRIPTS
from tests.options.configs import command_lines, loading

# Nothing is ever one of these.
NEVER = [{"a": {"b": 1}}, "x" * 5000, [[[1]]], math.nan, -7, 1j]


@cache
def configs(script):
    """Plain configs in which every option of every group occurs."""
    found = []
    with loading() as loader:
        for line in command_lines(script):
            config, _ = compose_run(script, line, loader)
            check_config(script, config)
            found.append(OmegaConf.to_container(config, resolve=True))
    return found


def keys(node, schema, prefix=()):
    """Each key of a config: the node that it is in, its path, and its option."""
    for name, each in options_of(schema).items():
        if name not in node:
            continue
        yield node, (*prefix, name), each
        value, of_map = node[name], each.of_map
        if isinstance(value, dict) and each.groups:
            yield from keys(value, _chosen(value, each.groups), (*prefix, name))
        elif isinstance(value, dict) and of_map is not None:
            for key, child in value.items():
                yield value, (*prefix, name, key), of_map
                if isinstance(child, dict):
                    yield from keys(child, _chosen(child, of_map.groups), (*prefix, name, key))


def refused(option):
    """Values that an option must refuse, by what it says that it allows."""
    words, limits = option.allowed, option.limits
    yield from NEVER
    if option.name.startswith("_"):
        return
    if "null" not in words:
        yield None
    if "a number" not in words:
        yield 2.5
    if "true" not in words:
        yield True
    if "whole number" not in words and "a number" not in words and "Literal" not in str(option.kind):
        yield 3
    if "a text" not in words and "a path" not in words:
        yield "no such value"
    if "a list" not in words:
        yield ["a"]
    if "number" in words:
        yield from (bound - 1 for bound in (limits.low, limits.above) if bound is not None)
        yield from (bound + 1 for bound in (limits.high, limits.below) if bound is not None)
        yield from (bound for bound in (limits.above, limits.below) if bound is not None)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_key_refuses_what_it_cannot_be(script):
    seen = set()
    for config in configs(script):
        for node, path, option in list(keys(config, SCRIPTS[script])):
            name = ".".join(path)
            if (name, option.allowed) in seen:
                continue
            seen.add((name, option.allowed))
            before = node[path[-1]]
            for value in refused(option):
                node[path[-1]] = value
                found = list(faults(config, SCRIPTS[script]))
                assert found, f"{name}={str(value)[:50]} is accepted"
                assert any(name in sentence for _, sentence in found), f"{name}={str(value)[:50]}: {found}"
                assert all("\n" not in sentence and len(sentence) < 700 for _, sentence in found)
            node[path[-1]] = before
        assert not list(faults(config, SCRIPTS[script]))
    assert len(seen) > 10


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_option_has_help_and_every_key_a_place(script):
    for config in configs(script):
        for _, path, option in keys(config, SCRIPTS[script]):
            assert option.help.endswith((".", ")")) or option.help, path


@pytest.mark.parametrize(
    ("script", "key", "values"),
    [
        ("predict", "mask", ["a.tif", ["a.tif", "b.gpkg"], None]),
        ("predict", "classes", [[1, 2], None]),
        ("predict", "rendering.bands", [[1], [3, 2, 1]]),
        ("predict", "rendering.value_range", [[0, 255.5]]),
        ("predict", "image", ["https://host/a.tif?" + "s" * 900, "folder/*.tif"]),
        ("predict", "output.min_area_m2", [0, 2, 3.5, None]),
        ("train", "trainer.devices", [2, -1, [0, 1], "auto"]),
        ("train", "trainer.limit_val_batches", [3, 0.5, 1.0, 0]),
        ("train", "trainer.strategy", ["ddp", {"_target_": "lightning.pytorch.strategies.DDPStrategy"}]),
        ("train", "trainer.fast_dev_run", [True, 3]),
        ("train", "trainer.deterministic", ["warn", True]),
        ("train", "loss.class_weights", ["reference", [1, 2.0, 0.5, 2]]),
        ("train", "sampling.views", [None, 3]),
        ("train", "callbacks.early_stopping", [None]),
        ("train", "callbacks.mine", [{"_target_": "lightning.pytorch.callbacks.Timer", "duration": "00:01:00:00"}]),
        ("train", "optimizer.factory.betas", [[0.9, 0.99]]),
        ("train", "trainer.min_epochs", [3]),
        ("train_crossfit", "folds", [2, 5]),
        ("evaluate", "source", [None, "raw", ["raw", "ocrnet"]]),
        ("export", "formats", [["onnx"], ["huggingface", "stac"]]),
    ],
)
def test_what_is_meant_is_accepted(script, key, values):
    config = next(each for each in configs(script) if each.get("callbacks") is None or "early_stopping" in each["callbacks"])
    config = OmegaConf.create(config)
    for value in values:
        OmegaConf.update(config, key, value, merge=False, force_add=True)
        assert not list(faults(OmegaConf.to_container(config), SCRIPTS[script])), value


def test_a_value_that_another_key_takes_over_is_blamed_on_its_own_key():
    with loading() as loader:
        config, _ = compose_run("train", ["dataset.held_out=5"], loader)
    with pytest.raises(ConfigError, match=r"^dataset\.held_out must be"):
        check_config("train", config)


def test_a_key_that_is_taken_away_is_named():
    with loading() as loader:
        config, _ = compose_run("predict", ["image=a", "output_dir=b", "~tiling.window"], loader)
    with pytest.raises(ConfigError, match=r"^tiling\.window"):
        check_config("predict", config)


def test_an_unknown_key_of_a_target_is_one_that_the_target_takes():
    with loading() as loader:
        config, _ = compose_run("train", ["+trainer.barebones=true"], loader)
        check_config("train", config)
        config, _ = compose_run("train", ["+trainer.bareborn=true"], loader)
        with pytest.raises(ConfigError, match=r"^trainer\.bareborn is not a key"):
            check_config("train", config)
