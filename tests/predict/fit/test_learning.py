"""From a layer to networks: folds, crops, training."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine
from rasterio.crs import CRS

from segassess.errors import OutputError
from segassess.options.fit import FitSettings
from segassess.predict.cluster import FoldTrainers, local_cluster
from segassess.predict.fit import fitted_layer, training
from segassess.predict.fit.beside import Processes
from segassess.predict.fit.blocks import Blocks, shared_origins
from segassess.predict.fit.fitted_layer import FittedLayer, load_fitted
from segassess.predict.fit.fitting import too_little
from segassess.predict.fit.layer import Layer, LayerScene
from segassess.predict.fit.rounds import fit_layer, rounds_of
from segassess.predict.scene import Source
from segassess.raster import Georeference, Grid, Rendering
from tests.cli.scenes import write_tif
from tests.predict.fit.conftest import CPU, layer_of


@pytest.mark.parametrize("folds", [2, 3])
def test_neighbouring_blocks_are_in_different_folds(folds):
    found = Blocks(10, folds, 1).fold_of(slice(0, 45), slice(0, 33))
    assert found[0, 0] == 1 and set(np.unique(found)) == set(range(folds))
    assert all(np.all(found[top : top + 10, :10] == found[top, 0]) for top in (0, 10, 20))
    assert (found[5, 9] != found[5, 10]) and (found[9, 5] != found[10, 5])


def test_a_guard_band_lies_around_what_is_judged():
    blocks = Blocks(10, 2)
    learnable = blocks.learnable(0, slice(20, 40), slice(20, 40), 3, (60, 60))
    expected = np.zeros((20, 20), bool)
    # Blocks of the other fold, without 3 px towards their neighbours; those beyond the window count as well.
    expected[3:7, 13:17] = expected[13:17, 3:7] = True
    assert np.array_equal(learnable, expected)
    assert np.array_equal(blocks.learnable(0, slice(22, 35), slice(26, 39), 3, (60, 60)), expected[2:15, 6:19])
    # Beyond the scene there is nothing to keep away from.
    assert np.array_equal(blocks.learnable(0, slice(0, 10), slice(10, 20), 3, (10, 20))[0], [False] * 3 + [True] * 7)


def test_scenes_that_overlap_share_the_blocks_of_the_ground():
    def grid(left, top, size=0.5, crs="EPSG:32645"):
        return Grid(300, 200, Georeference(CRS.from_string(crs), Affine(size, 0, left, 0, -size, top)))

    others = [grid(1000, 5000, 0.25), grid(1000, 5000, crs="EPSG:32644"), Grid(300, 200)]
    origins = shared_origins([grid(1000, 5000), grid(1090, 5000), grid(1000, 5060), *others])
    assert origins == [(0, 0), (0, 180), (-120, 0), None, None, None]
    one, two = (Blocks(64, 2, 0, origin).fold_of(slice(0, 300), slice(0, 200)) for origin in origins[:2])
    assert np.array_equal(one[:, 180:], two[:, :20])
    # Beyond a scene lies ground that a neighbour judges.
    assert not Blocks(64, 2, 0, (0, 0)).learnable(0, slice(64, 128), slice(0, 64), 3, (128, 64))[:, :3].any()
    # Side by side, each scene is a group of its own.
    assert shared_origins([grid(1000, 5000), grid(1100, 5000)]) == [None, None]


def test_crops_hide_what_the_fold_judges(tmp_path):
    settings = FitSettings(crop=64, batch_size=8, block_px=96, guard_px=8, scale=1.0)
    judged = Blocks(96, 2).fold_of(slice(0, 400), slice(0, 300)) == 0
    write_tif(tmp_path / "image.tif", np.repeat(judged[None] * np.uint8(255), 3, axis=0))
    write_tif(tmp_path / "mask.tif", judged[None].astype(np.uint8))
    with layer_of(tmp_path / "image.tif", tmp_path / "mask.tif") as layer:
        for fold in (0, 1):
            crops = layer.crops(fold, 3, settings, settings.scale)
            seen = crops.images[:, :1][crops.weights > 0]
            assert seen.size > 1000
            # Whatever the changes of colour, white stays above and black below.
            assert (seen < 0.5).all() if fold == 0 else (seen > 0.5).all()


def test_crops_are_the_same_for_the_same_step(damaged, quick):
    with layer_of(*damaged[:2]) as layer:
        first, again, other = (layer.crops(0, step, quick, 0.5) for step in (5, 5, 6))
    assert first.images.shape == (4, 3, 64, 64) and first.masks.shape == first.weights.shape == (4, 1, 64, 64)
    assert np.array_equal(first.images, again.images) and not np.array_equal(first.images, other.images)
    assert first.images.min() >= 0 and first.images.max() <= 1 and set(np.unique(first.weights)) <= {0, 1}


def test_scenes_smaller_than_a_crop_fill_a_part_of_it(tmp_path, quick):
    write_tif(tmp_path / "image.tif", np.full((3, 20, 12), 99, np.uint8))
    write_tif(tmp_path / "mask.tif", np.ones((1, 20, 12), np.uint8))
    with layer_of(tmp_path / "image.tif", tmp_path / "mask.tif", group=1) as layer:
        crops = layer.crops(0, 0, quick, 0.5)
    learned = crops.weights.sum(axis=(1, 2, 3))
    # 20 x 12 px at half size, give or take a quarter.
    assert ((learned >= 30) & (learned <= 110)).all()
    assert crops.masks[crops.weights > 0].all()


class _Stopped(Exception):
    pass


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_weights(damaged, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_KEPT", 0.0)
    quick = replace(quick, steps=12)  # weights are averaged from the tenth on

    def stop(fold, done, steps):
        if (fold, done) == (1, 10):
            raise _Stopped

    with layer_of(*damaged[:2]) as layer:
        whole = fit_layer(layer, quick, tmp_path / "whole", CPU)
        with pytest.raises(_Stopped):
            fit_layer(layer, quick, tmp_path / "stopped", CPU, stop)
        steps = []
        resumed = fit_layer(layer, quick, tmp_path / "stopped", CPU, lambda fold, done, steps_: steps.append((fold, done)))
    assert steps[0] == (1, 10)
    for one, other in zip(whole.networks, resumed.networks, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    kept = [path.name for path in sorted((tmp_path / "stopped").glob("f*"))]
    assert kept == ["fit.json", "fold_0.safetensors", "fold_1.safetensors"]


@pytest.mark.slow
def test_another_edition_of_the_layer_is_learned_again(damaged, quick, tmp_path):
    image, mask, pixels, _ = damaged
    settings = replace(quick, steps=2)

    def trained():
        folds = []
        with layer_of(image, mask) as layer:
            fit_layer(layer, settings, tmp_path / "fit", CPU, lambda fold, done, steps: folds.append(fold))
        return folds

    assert trained() == [0, 0, 1, 1] and trained() == []
    write_tif(mask, np.roll(pixels, 300)[None].astype(np.uint8))
    os.utime(mask, ns=(1, 1))
    assert trained() == [0, 0, 1, 1]


def test_many_scenes_are_opened_in_turn(tmp_path, quick, monkeypatch):
    monkeypatch.setattr("segassess.predict.fit.layer._OPEN", 2)
    scenes = []
    for number in range(5):
        write_tif(tmp_path / f"{number}.tif", np.full((3, 40, 40), 10 * number + 1, np.uint8))
        write_tif(tmp_path / f"mask_{number}.tif", np.ones((1, 40, 40), np.uint8))
        scenes.append(LayerScene(str(tmp_path / f"{number}.tif"), (Source(str(tmp_path / f"mask_{number}.tif")),), number))
    with Layer(scenes, Rendering()) as layer:
        assert layer.sizes == [(40, 40)] * 5
        found = [layer.window(index, slice(0, 9), slice(0, 9))[0][0, 0, 0] * 255 for index in (3, 0, 4, 1, 2, 0)]
    assert np.allclose(found, [31, 1, 41, 11, 21, 1])


def test_minutes_become_steps(damaged, quick, tmp_path):
    settings = replace(quick, steps=None, minutes=0.01)
    found = []
    with layer_of(*damaged[:2]) as layer:
        fit_layer(layer, settings, tmp_path / "fit", CPU, lambda fold, done, steps: found.append((fold, done, steps)))
    assert found[0] == (0, 1, 0)
    assert all(done <= steps for _, done, steps in found if steps)
    assert found[-1][1] == found[-1][2] >= training.LEAST_STEPS


class _Constant:
    def __init__(self, value):
        self.value = value

    def probability(self, image):
        return torch.full_like(image[:, :1], self.value)


def test_each_pixel_gets_the_network_that_did_not_learn_from_it(quick, tmp_path):
    fitted = FittedLayer([_Constant(0.25), _Constant(0.75)], quick, CPU, {str(tmp_path / "a.tif"): Blocks(128, 2, 1)}, "digest")
    area, pixels = (slice(100, 200), slice(30, 333)), np.zeros((100, 303, 3), np.float32)
    blocks = fitted.blocks(str(tmp_path / "a.tif"))
    expected = np.where(Blocks(128, 2, 1).fold_of(*area) == 0, np.float32(0.25), np.float32(0.75))
    assert np.array_equal(fitted.reference(blocks, area, pixels)[0], expected)
    assert fitted.blocks(str(tmp_path / "b.tif")) is None
    assert np.array_equal(fitted.reference(None, area, pixels)[0], np.full((100, 303), 0.5, np.float32))


def test_a_folder_without_a_fit_is_refused(tmp_path):
    with pytest.raises(fitted_layer.InputError, match="fit"):
        load_fitted(tmp_path, CPU)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_folds_side_by_side_are_the_same_networks(damaged, quick, tmp_path):
    quick, steps = replace(quick, steps=6), []
    with layer_of(*damaged[:2]) as layer:
        alone = fit_layer(layer, quick, tmp_path / "alone", CPU)
        beside = fit_layer(layer, quick, tmp_path / "beside", CPU, lambda *step: steps.append(step), Processes(2))
    assert beside.digest == alone.digest
    assert sorted(steps) == [(fold, done, quick.steps) for fold in (0, 1) for done in range(1, quick.steps + 1)]


@pytest.mark.slow
def test_a_fold_whose_process_dies_is_named_and_goes_on(damaged, quick, tmp_path):
    quick = replace(quick, steps=6)

    def kill(fold, done, steps):
        if done == 3:
            for process in multiprocessing.active_children():
                process.kill()

    with layer_of(*damaged[:2]) as layer:
        with pytest.raises(OutputError, match="exit code -9; run it again"):
            fit_layer(layer, quick, tmp_path / "fit", CPU, kill, Processes(2))
        assert not multiprocessing.active_children()
        assert len(fit_layer(layer, quick, tmp_path / "fit", CPU, beside=Processes(2)).networks) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_workers_of_a_cluster_train_the_same_networks_though_one_dies_or_nobody_waits(damaged, quick, tmp_path):
    quick, steps = replace(quick, steps=30), []

    def kill(fold, done, steps_):
        steps.append((fold, done, steps_))
        if len(steps) == 1:
            for worker in cluster.workers.values():
                os.kill(worker.pid, signal.SIGKILL)

    def stop(fold, done, steps_):
        raise _Stopped

    with layer_of(*damaged[:2]) as layer, local_cluster(2) as client:
        cluster = client.cluster
        assert FoldTrainers(client).workers == 2
        alone = fit_layer(layer, quick, tmp_path / "alone", CPU)
        with pytest.raises(_Stopped):
            fit_layer(layer, quick, tmp_path / "fit", CPU, stop, FoldTrainers(client))
        until = time.monotonic() + 60
        while any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()) and time.monotonic() < until:
            time.sleep(0.1)
        assert time.monotonic() < until and not list((tmp_path / "fit").glob("*.safetensors"))
        beside = fit_layer(layer, quick, tmp_path / "fit", CPU, kill, FoldTrainers(client))
    assert beside.digest == alone.digest
    assert {step for step in steps if step[1] == quick.steps} == {(fold, quick.steps, quick.steps) for fold in (0, 1)}


def test_background_where_nobody_may_have_mapped_counts_little(tmp_path):
    mask = np.zeros((400, 600), np.uint8)
    mask[190:210, :40] = 1
    write_tif(tmp_path / "image.tif", np.zeros((3, 400, 600), np.uint8))
    write_tif(tmp_path / "mask.tif", mask[None])
    settings = FitSettings(crop=64, batch_size=16, block_px=2000, scale=0.25)
    with layer_of(tmp_path / "image.tif", tmp_path / "mask.tif", group=1) as layer:
        crops = layer.crops(0, 0, settings, settings.scale)
    found = {round(float(weight), 3) for weight in np.unique(crops.weights)}
    assert found == {0.02, 1.0}
    assert (crops.weights[crops.masks > 0] == 1).all()
    assert all((weights < 0.2).all() for weights, masks in zip(crops.weights, crops.masks, strict=True) if not masks.any())


def test_a_river_is_enough_to_learn_from_and_a_few_huts_are_not(tmp_path):
    huts, river = np.zeros((2, 1, 768, 768), np.uint8)
    for left in range(20, 700, 140):
        huts[:, 100:120, left : left + 20] = 1
    river[:, 300:500] = 1
    write_tif(tmp_path / "image.tif", np.zeros((3, 768, 768), np.uint8))
    for name, mask in (("huts", huts), ("river", river)):
        write_tif(tmp_path / f"{name}.tif", mask)
    with layer_of(tmp_path / "image.tif", tmp_path / "river.tif") as layer:
        assert too_little(layer, 256) is None
    with layer_of(tmp_path / "image.tif", tmp_path / "huts.tif") as layer:
        assert "a layer of 5 objects and 2,000 pixels of foreground is too small" in str(too_little(layer, 768))


@pytest.mark.slow
def test_a_second_round_leaves_out_what_the_first_contradicts(damaged, quick, tmp_path, monkeypatch):
    image, path, mask, truth = damaged
    quick = replace(quick, steps=100, rounds=2)
    left_out, steps = [], []
    contradicted = FittedLayer.contradicted

    def seen(self, name, area, pixels, masks):
        found = contradicted(self, name, area, pixels, masks)
        wrong = mask[area] != truth[area]
        left_out.append((found[wrong].sum(), wrong.sum(), found[~wrong].sum(), (~wrong).sum()))
        return found

    monkeypatch.setattr(FittedLayer, "contradicted", seen)
    with layer_of(image, path) as layer:
        fitted = fit_layer(layer, quick, tmp_path / "fit", CPU, lambda *step: steps.append(step))
        assert [step[0] for step in steps] == [0] * 50 + [1] * 50 + [0] * 50 + [1] * 50
        assert [step[1:] for step in steps if step[0] == 1] == [(done, 100) for done in range(1, 101)]
        found, wrong, spared, right = np.sum(left_out, axis=0)
        assert found > 0.6 * wrong and spared < 0.1 * right
        # The networks of the first round are gone; nothing is learned again.
        assert sorted(each.name for each in (tmp_path / "fit").glob("[!.]*")) == [
            "fit.json",
            "fold_0.safetensors",
            "fold_1.safetensors",
        ]
        steps.clear()
        assert fit_layer(layer, quick, tmp_path / "fit", CPU, lambda *step: steps.append(step)).digest == fitted.digest
    assert not steps


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_fit_that_stops_in_the_second_round_keeps_the_first(damaged, quick, tmp_path):
    quick, steps = replace(quick, steps=8, rounds=2), []

    def stop(fold, done, steps_):
        if (fold, done) == (0, 6):
            raise _Stopped

    with layer_of(*damaged[:2]) as layer:
        whole = fit_layer(layer, quick, tmp_path / "whole", CPU)
        with pytest.raises(_Stopped):
            fit_layer(layer, quick, tmp_path / "fit", CPU, stop)
        resumed = fit_layer(layer, quick, tmp_path / "fit", CPU, lambda *step: steps.append(step), Processes(2))
    assert len(steps) == 8 and resumed.digest == whole.digest


@pytest.mark.parametrize(
    ("settings", "minutes", "expected"),
    [
        (FitSettings(steps=249), 6.0, 1),
        (FitSettings(steps=250), 1.0, 2),
        (FitSettings(), 3.9, 1),
        (FitSettings(), 4.0, 2),
        (FitSettings(steps=20, rounds=3), 1.0, 3),
    ],
)
def test_a_short_fit_has_one_round(settings, minutes, expected):
    assert rounds_of(settings, minutes) == expected
