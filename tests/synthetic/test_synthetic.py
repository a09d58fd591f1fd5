"""Synthetic scenes: deterministic, well-formed, and with a truth that fits what the image shows."""

import numpy as np
import pytest

from segassess.errors import ConfigError
from segassess.synthetic import OBJECTS, make_scene
from segassess.synthetic.buildings import Building, Wing, place
from segassess.synthetic.canvas import SUPERSAMPLING, Canvas
from segassess.synthetic.layout import Frame, Parcel, divide
from segassess.synthetic.light import Sun, cast_shadow
from segassess.synthetic.noise import smooth_noise
from segassess.synthetic.sensor import downsample_truth
from segassess.synthetic.vegetation import plant


@pytest.fixture(scope="module")
def scenes():
    return [make_scene(seed, 128) for seed in range(24)]


def empty_canvas(metres: float = 40, per_metre: float = 5.0) -> Canvas:
    side = int(metres * per_metre)
    return Canvas(np.full((3, side, side), 0.5, np.float32), per_metre, np.random.default_rng(0))


def house(**changes) -> Building:
    wings = changes.pop("wings", (Wing(0, 0, 6, 4),))
    values = {"x": 20, "y": 20, "angle": 0.0, "eaves": 3.0, "material": "tile", "colour": (0.7, 0.4, 0.3), "roof": "gable"}
    return Building(**(values | {"wings": wings, "pitch": 0.5} | changes))


def test_same_seed_same_scene_other_seed_other_scene():
    first, again, other = make_scene(3, 96), make_scene(3, 96), make_scene(4, 96)
    assert np.array_equal(first.image, again.image)
    assert all(np.array_equal(first.truth[name], again.truth[name]) for name in OBJECTS)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("size", [1, 16, (1, 7), (40, 90), (91, 33)])
def test_shapes_and_types(size):
    scene = make_scene(7, size)
    expected = size if isinstance(size, tuple) else (size, size)
    assert scene.image.shape == (*expected, 3) and scene.image.dtype == np.uint8
    assert scene.image.flags.c_contiguous
    assert set(scene.truth) == set(OBJECTS)
    assert all(truth.shape == expected and truth.dtype == np.bool_ for truth in scene.truth.values())


def test_objects_never_overlap(scenes):
    for scene in scenes:
        assert not (sum(truth.astype(int) for truth in scene.truth.values()) > 1).any()


def test_density_varies_and_every_object_occurs(scenes):
    shares = np.array([scene.truth["building"].mean() for scene in scenes])
    assert shares.min() < 0.02 and shares.max() > 0.3
    assert any(scene.truth["road"].any() for scene in scenes)
    assert any(make_scene(seed, 64, 0.6).truth["water"].any() for seed in range(40))


def test_images_are_neither_flat_nor_blown_out(scenes):
    for scene in scenes:
        assert scene.image.std() > 10
        assert 40 < scene.image.mean() < 215
        assert (scene.image == 255).mean() < 0.05


def test_roofs_cannot_be_told_by_brightness_alone(scenes):
    """Buildings and background overlap in grey value, or segmentation would be trivial."""
    inside = np.concatenate([s.image.mean(axis=2)[s.truth["building"]] for s in scenes])
    outside = np.concatenate([s.image.mean(axis=2)[~s.truth["building"]] for s in scenes])
    edges = np.linspace(0, 255, 33)
    shared = np.minimum(np.histogram(inside, edges)[0] / inside.size, np.histogram(outside, edges)[0] / outside.size).sum()
    assert 0.3 < shared < 0.95


def test_gsd_scales_the_ground():
    """Twice the ground per pixel shows smaller houses: less area per object."""

    def object_area(gsd):
        from segassess.synthetic.perturbations.objects import label_objects

        counted = [label_objects(make_scene(seed, 128, gsd).truth["building"]) for seed in range(12)]
        return sum(boxes[1:, 4].sum() for _, _, boxes in counted) / max(1, sum(count for count, _, _ in counted))

    assert object_area(0.6) < 0.6 * object_area(0.2)


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": (5, -1)}, {"gsd": 0.0}, {"gsd": 9.0}, {"seed": -1}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        make_scene(**({"seed": 0} | arguments))


def test_footprint_is_exact():
    canvas = empty_canvas()
    assert place(canvas, house())
    truth = downsample_truth(canvas.truth["building"])
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    per_metre = canvas.per_metre / SUPERSAMPLING
    assert truth.sum() == pytest.approx(12 * 8 * per_metre**2, rel=0.03)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(20 * per_metre, abs=0.6)
    assert (rows[-1] + 1 - rows[0]) == pytest.approx(8 * per_metre, abs=1)


def test_turned_footprint_keeps_its_area_and_wings_add_theirs():
    turned = empty_canvas()
    place(turned, house(angle=0.7))
    assert turned.truth["building"].sum() / turned.per_metre**2 == pytest.approx(96, rel=0.02)
    winged = empty_canvas()
    place(winged, house(wings=(Wing(0, -2, 6, 2), Wing(4, 0, 2, 4)), roof="hip"))
    assert winged.truth["building"].sum() / winged.per_metre**2 == pytest.approx(48 + 16, rel=0.02)


def test_no_house_on_taken_ground():
    canvas = empty_canvas()
    assert place(canvas, house())
    assert not place(canvas, house(x=24))
    assert place(canvas, house(y=29))


def test_gable_has_a_light_and_a_dark_side_and_its_ridge_is_highest():
    canvas = empty_canvas()
    place(canvas, house())
    middle = canvas.shape[1] // 2
    profile = canvas.height[:, middle]
    assert np.argmax(profile) == pytest.approx(20 * canvas.per_metre, abs=1)
    assert profile.max() == pytest.approx(3 + 4 * 0.5, abs=0.15)
    slope = canvas.slope[1][:, middle]
    assert slope[int(17 * canvas.per_metre)] > 0 > slope[int(23 * canvas.per_metre)]


def test_truth_stays_under_a_tree():
    canvas = empty_canvas()
    place(canvas, house())
    before = canvas.truth["building"].copy()
    plant(canvas, 20, 20, 3, 9, (0.2, 0.3, 0.1))
    assert np.array_equal(before, canvas.truth["building"])
    assert (canvas.crown > canvas.height)[before].any()


def test_shadow_falls_away_from_the_sun_and_is_as_long_as_geometry_says():
    height = np.zeros((40, 120), np.float32)
    height[:, 40:44] = 5.0
    sun = Sun(azimuth=np.pi, elevation=np.pi / 4, sky=(0.4, 0.4, 0.4))  # the sun is at -x
    shaded = cast_shadow(height, sun, per_metre=4.0) - height > 0.1
    row = np.flatnonzero(shaded[20])
    assert row.min() >= 43  # nothing towards the sun
    assert row.max() == pytest.approx(43 + 5 * 4, abs=2)


def test_frame_round_trip():
    frame = Frame.draw((80, 80), 0.4, np.random.default_rng(5))
    for u, v in [(0, 0), (31, -12), (-40, 25)]:
        x, y = frame.ground(u, v)
        back = frame.street(np.array([[x]], np.float32), np.array([[y]], np.float32))
        assert [float(value[0, 0]) for value in back] == pytest.approx([u, v], abs=0.02)


def test_divide_keeps_limits_and_does_not_overlap():
    land = Parcel(-50, -40, 60, 70)
    pieces, strips = divide(land, 12, 30, (6.0, 4.0), 1.0, np.random.default_rng(1))
    assert len(pieces) > 4 and strips
    assert all(min(piece.sides) >= 12 - 1e-6 for piece in pieces)
    area = sum(piece.sides[0] * piece.sides[1] for piece in pieces)
    assert 0.5 * 110 * 110 < area < 110 * 110
    for index, a in enumerate(pieces):
        for b in pieces[index + 1 :]:
            assert min(a.u1, b.u1) - max(a.u0, b.u0) < 1e-6 or min(a.v1, b.v1) - max(a.v0, b.v0) < 1e-6


@pytest.mark.parametrize("scale", [1, 3, 9, 40])
def test_noise_has_unit_variance_and_its_scale(scale):
    rng = np.random.default_rng(0)
    fields = [smooth_noise((150, 130), scale, rng) for _ in range(12)]
    assert fields[0].shape == (150, 130) and fields[0].dtype == np.float32
    assert np.mean([field.std() for field in fields]) == pytest.approx(1, abs=0.2)
    step = np.mean([np.abs(np.diff(field, axis=1)).mean() for field in fields])
    assert step < 3 / scale
