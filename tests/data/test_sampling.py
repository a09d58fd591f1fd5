from dataclasses import replace

import numpy as np
import pytest
import torch

from segassess.data.batch import Batch, Sample, collate
from segassess.data.datamodule import AssessmentData, SamplingSettings
from segassess.data.sampling import AmsDataset, TileKey, TileSampler, _rescaled, _resized
from segassess.data.sources import FileSource
from segassess.data.tiles import FolderTiles
from segassess.errors import ConfigError, RequestError


def module(root, **options) -> AssessmentData:
    settings = options.pop("sampling", SamplingSettings(images_per_batch=2, crop=64))
    return AssessmentData(FolderTiles(root), held_out=["ocrnet"], sampling=settings, **options)


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.image, second.image) and torch.equal(first.mask, second.mask) and first.source == second.source


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_deals_every_tile_once(world):
    samplers = [TileSampler(8, shuffle=False, rank=rank, world=world) for rank in range(world)]
    keys = [key for sampler in samplers for key in sampler]
    assert sorted(key.index for key in keys if not key.filler) == list(range(8))
    assert len({len(sampler) for sampler in samplers}) == 1
    assert sum(key.filler for key in keys) == world * len(samplers[0]) - 8


def test_training_ranks_share_one_permutation_that_changes_with_the_epoch():
    alone = TileSampler(8, shuffle=True, seed=1)
    ranks = [TileSampler(8, shuffle=True, seed=1, rank=rank, world=2) for rank in range(2)]
    order = [key.index for key in alone]
    assert sorted(order) == list(range(8))
    assert [key.index for pair in zip(*ranks, strict=True) for key in pair] == order
    alone.set_epoch(1)
    assert [key.index for key in alone] != order
    alone.set_epoch(0)
    assert [key.index for key in alone] == order


def test_weighted_tiles_are_drawn_as_often_as_they_weigh():
    weights = np.array([1.0] * 12 + [3.0] * 4)
    sampler = TileSampler(16, shuffle=True, seed=1, weights=weights)
    ranks = [TileSampler(16, shuffle=True, seed=1, rank=rank, world=2, weights=weights) for rank in range(2)]
    drawn = np.zeros(16)
    for epoch in range(60):
        for each in (sampler, *ranks):
            each.set_epoch(epoch)
        keys = list(sampler)
        assert [key for pair in zip(*ranks, strict=True) for key in pair] == keys
        assert len({(key.index, key.repeat) for key in keys}) == len(keys) == 16
        times = np.bincount([key.index for key in keys], minlength=16)
        assert set(times[:12]) <= {0, 1} and set(times[12:]) <= {2}
        drawn += times
    np.testing.assert_allclose(drawn / 60, 16 * weights / weights.sum(), atol=0.2)
    assert [key.index for key in keys[:4]] != sorted(key.index for key in keys[:4])


def test_regions_count_alike(tiny_folder):
    plain = module(tiny_folder).train_dataset()
    assert plain.weights is None
    settings = SamplingSettings(images_per_batch=2, region_balance=1.0)
    dataset = module(tiny_folder, sampling=settings).train_dataset()
    dataset.tiles = [replace(tile, region="a" if index else "b") for index, tile in enumerate(dataset.tiles)]
    assert dataset.weights[1:].sum() == pytest.approx(dataset.weights[0])
    first, again = dataset[TileKey(0)], dataset[TileKey(0, repeat=1)]
    assert not np.array_equal(first[0].image, again[0].image)


def test_more_processes_than_tiles():
    with pytest.raises(RequestError, match="cannot be shared between 3"):
        TileSampler(2, shuffle=False, world=3)


def test_one_view_per_source_and_none_of_the_unseen(tiny_folder):
    data = module(tiny_folder)
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (4, 3, 64, 64)
    assert sorted(batch.source) == ["alpha", "alpha", "beta", "beta"]
    assert len(set(batch.name)) == 2
    assert data.train_sources == ["alpha", "beta"]


def test_views_of_an_image_are_augmented_independently_and_stay_in_register(tiny_folder):
    data = module(tiny_folder, sampling=SamplingSettings(images_per_batch=1))
    dataset = data.train_dataset()
    tile = dataset.tiles[0].read()
    views = [view for epoch in range(8) for view in dataset[TileKey(0, epoch)]]
    assert len({view.image.tobytes() for view in views}) > 4
    for view in views:
        assert view.truth is not None
        # The same symmetry maps image, truth and mask: among the 8 symmetries of the original exactly one fits all three.
        fits = [
            (k, f)
            for k in range(4)
            for f in range(2)
            if all(
                np.array_equal(np.rot90(a[:, ::-1] if f else a, k), b)
                for a, b in (
                    (tile.image, view.image),
                    (tile.truth, view.truth),
                    (dataset.tiles[0].read_mask(view.source), view.mask),
                )
            )
        ]
        assert fits


def test_batches_are_a_function_of_seed_and_epoch(tiny_folder):
    settings = SamplingSettings(images_per_batch=2, crop=48, photometric=0.5, geometric=0.5)
    first, second = (module(tiny_folder, sampling=settings, made=["perturbed"], seed=5) for _ in range(2))
    loaders = first.train_dataloader(), second.train_dataloader()
    assert all(same(a, b) for a, b in zip(*loaders, strict=True))
    loaders[1].sampler.set_epoch(1)
    assert not all(same(a, b) for a, b in zip(*loaders, strict=True))
    with_workers = module(tiny_folder, sampling=settings, made=["perturbed"], seed=5, num_workers=2).train_dataloader()
    assert all(same(a, b) for a, b in zip(first.train_dataloader(), with_workers, strict=True))


def test_mixing_is_not_sample_major(tiny_folder):
    names = [batch.name for batch in module(tiny_folder, sampling=SamplingSettings(images_per_batch=4)).train_dataloader()]
    assert any(name != sorted(name, key=name.index) for name in names)


def test_fewer_views_than_sources(tiny_folder):
    data = module(tiny_folder, sampling=SamplingSettings(images_per_batch=8, views=1))
    loader = data.train_dataloader()
    batch = next(iter(loader))
    assert len(batch) == 8 and set(batch.source) == {"alpha", "beta"}


def test_crops_of_small_tiles_are_padded_with_pixels_that_do_not_count(tiny_folder):
    batch = next(iter(module(tiny_folder, sampling=SamplingSettings(images_per_batch=1, crop=128)).train_dataloader()))
    assert batch.image.shape[-2:] == (128, 128)
    assert batch.valid.flatten(1).sum(dim=1).tolist() == [96 * 96] * 2


def test_evaluation_batches_hold_one_image_and_all_its_masks(tiny_folder):
    data = module(tiny_folder)
    batches = list(data.val_dataloader())
    assert [batch.source for batch in batches] == [["alpha", "beta"]] * 3
    assert all(batch.one_image for batch in batches)
    data.test_sources = ["ocrnet"]
    assert [batch.source for batch in data.test_dataloader()] == [["ocrnet"]] * 3


def test_made_masks_are_the_same_at_every_evaluation(tiny_folder):
    data = module(tiny_folder, made=["perturbed"])
    assert all(same(a, b) for a, b in zip(data.val_dataloader(), data.val_dataloader(), strict=True))


def test_held_out_sources_cannot_be_trained_on(tiny_folder):
    with pytest.raises(RequestError, match=r"ocrnet is in sampling\.sources and in held_out"):
        _ = module(tiny_folder, train_sources=["alpha", "ocrnet"]).train_sources
    with pytest.raises(RequestError, match="No training source is left"):
        _ = AssessmentData(FolderTiles(tiny_folder), held_out=["alpha", "beta", "ocrnet"]).train_sources


def test_a_segmenter_that_would_judge_what_it_learned_from_is_refused(tiny_folder):
    data = module(tiny_folder, made=["perturbed", "discriminant"])
    with pytest.raises(RequestError, match=r"discriminant learns from the training tiles.*held_out"):
        data.train_dataset()
    held_out = AssessmentData(FolderTiles(tiny_folder), made=["perturbed", "discriminant"], held_out=["discriminant"])
    assert "discriminant" not in held_out.train_sources and len(held_out.train_dataset()) == 8


@pytest.mark.parametrize("options", [{"crop": 0}, {"views": 0}, {"photometric": 1.5}, {"object_crops": -0.1}])
def test_wrong_settings_name_the_key(options):
    with pytest.raises(RequestError, match=rf"sampling\.{next(iter(options))}"):
        SamplingSettings(**options)


def sample(size: int, name: str = "a") -> Sample:
    square = np.ones((size, size), bool)
    return Sample(np.full((size, size, 3), 255, np.uint8), square, square, square, name, "s")


def test_collate_pads_and_marks_what_does_not_count():
    batch = collate([sample(4), sample(6)])
    assert batch.image.shape == (2, 3, 6, 6) and batch.image.max() == 1
    assert batch.valid[0].sum() == 16 and batch.valid[1].sum() == 36
    assert not batch.one_image


def test_a_wrong_batch_is_refused_at_the_border():
    good = collate([sample(4)])
    with pytest.raises(ValueError, match="mask must be"):
        Batch(good.image, good.mask[:, 0], good.truth, good.valid, good.name, good.source)
    with pytest.raises(ValueError, match="image must be float32"):
        Batch(good.image.double(), good.mask, good.truth, good.valid, good.name, good.source)
    with pytest.raises(ValueError, match="1 images need 1 names"):
        Batch(good.image, good.mask, good.truth, good.valid, [], good.source)


def test_plain_indices_mean_the_first_epoch(tiny_folder):
    """Lightning puts a sampler of its own in place of ours where batches are to be overfitted."""
    data = AmsDataset(FolderTiles(tiny_folder).tiles("train"), [FileSource("alpha")], SamplingSettings(crop=32))
    (plain,), (key,), (later,) = data[1], data[TileKey(1)], data[TileKey(1, epoch=1)]
    assert np.array_equal(plain.image, key.image) and np.array_equal(plain.mask, key.mask)
    assert not np.array_equal(plain.image, later.image)


def test_views_at_other_resolutions_lie_in_the_tile_and_within_the_limits():
    rng = np.random.default_rng(0)
    sides = [_rescaled(64, 224, 0.1, (0.08, 0.25), rng) for _ in range(300)]
    assert 64 * 0.8 - 1 < min(sides) < 56 and 150 < max(sides) < 64 * 2.5 + 1
    sides = [_rescaled(64, 100, None, (0.05, 1.0), rng) for _ in range(300)]
    assert 31 < min(sides) < 36 and 92 < max(sides) <= 100
    assert _rescaled(64, 48, 0.1, (0.05, 1.0), rng) <= 48


def test_a_view_at_another_resolution_stays_in_register():
    truth = np.zeros((80, 80), np.uint8)
    truth[20:60, 30:70] = 1
    planes = {"image": np.repeat(truth[..., None] * np.uint8(200), 3, axis=2), "mask": 1 - truth, "truth": truth}
    for side in (40, 160):
        resized = _resized(planes, side)
        assert resized["image"].shape == (side, side, 3) and set(np.unique(resized["truth"])) == {0, 1}
        assert (resized["mask"] == 1 - resized["truth"]).mean() > 0.98
        assert ((resized["image"][..., 0] > 100) == resized["truth"]).mean() > 0.98
        assert abs(resized["truth"].mean() - truth.mean()) < 0.02


def test_exchanged_masks_still_agree_with_a_mask_or_the_truth_everywhere(tiny_folder):
    settings = SamplingSettings(images_per_batch=1, exchange=1.0)
    dataset = module(tiny_folder, sampling=settings).train_dataset()
    tile = dataset.tiles[0]
    pixels = tile.read()
    drawn = [tile.read_mask(name) for name in ("alpha", "beta")]
    counts = {mask.sum() for mask in drawn}
    views = [view for epoch in range(20) for view in dataset[TileKey(0, epoch)]]
    # Turning and mirroring keep sums.
    assert pixels.truth is not None
    assert any(view.mask.sum() not in counts for view in views)
    errors = [int((view.mask != view.truth).sum()) for view in views]
    assert min(errors) < max(int((mask != pixels.truth).sum()) for mask in drawn)
    with pytest.raises(ConfigError, match="from disk"):
        SamplingSettings(exchange=0.5, online=True)


def test_scaling_changes_views_and_nothing_without_it(tiny_folder):
    def batch(**options) -> Batch:
        settings = SamplingSettings(images_per_batch=2, crop=64, **options)
        return next(iter(module(tiny_folder, sampling=settings).train_dataloader()))

    assert same(batch(), batch(gsd=(0.1, 0.2)))
    scaled = batch(scale=1.0)
    assert not same(batch(), scaled) and scaled.image.shape == (4, 3, 64, 64)
    for wrong in ({"scale": 2.0}, {"gsd": (1.0, 0.1)}):
        with pytest.raises(ConfigError):
            SamplingSettings(crop=64, **wrong)
    with pytest.raises(ConfigError):
        SamplingSettings(scale=0.5)


def test_recoloured_views_keep_mask_and_place_and_take_colours_of_another_tile(tiny_folder):
    def batch(**options) -> Batch:
        return next(iter(module(tiny_folder, sampling=SamplingSettings(images_per_batch=2, **options)).train_dataloader()))

    plain, recoloured = batch(), batch(recolour=1.0)
    assert same(batch(recolour=1.0), recoloured) and not torch.equal(plain.image, recoloured.image)
    assert torch.equal(plain.mask, recoloured.mask) and torch.equal(plain.truth, recoloured.truth)
    with pytest.raises(ConfigError):
        SamplingSettings(recolour=1.5)


def test_colours_are_taken_from_tiles_of_all_regions_alike(tiny_folder):
    settings = SamplingSettings(recolour=1.0)
    tiles = FolderTiles(tiny_folder).tiles("train")
    few, *many = (replace(tile, region="few" if index == 0 else "many") for index, tile in enumerate(tiles * 4))
    dataset = AmsDataset([few, *many], [FileSource("alpha")], settings)
    drawn = [dataset._other_tile(np.random.default_rng(seed)) for seed in range(200)]
    assert 70 < drawn.count(0) < 130 and len(set(drawn)) == len(dataset)
