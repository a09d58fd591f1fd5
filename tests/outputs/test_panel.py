import numpy as np
import pytest

from segassess.outputs.panel import ERROR_SCALE, render_panel
from segassess.quality import CLASS_COLOURS, FN, FP, NOT_ASSESSED, TN, TP

PAPER = (255, 255, 255)


def inputs(height, width, code=TN):
    """A mid-grey image of which one class is predicted everywhere."""
    quality = np.full((height, width), code)
    wrong = (quality == FP) | (quality == FN)
    return np.full((height, width, 3), 0.5), (quality == TP) | (quality == FP), quality, wrong.astype(float)


def pictures(panel):
    """Colours (rows, columns, 3) of the row of pictures, one block per picture, found by the white between them."""
    pixels = np.asarray(panel).astype(int)
    # Headings, colour bar and legend leave white in every row; only the row of pictures is coloured in most of its columns.
    coloured = (pixels != PAPER).any(axis=2)
    rows = np.flatnonzero(coloured.mean(axis=1) > 0.5)
    columns = coloured[rows].all(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], columns, [False]]).astype(int)))
    return [pixels[rows[0] + 1 : rows[-1], left + 1 : right - 1] for left, right in zip(edges[::2], edges[1::2], strict=True)]


def distance(colours, colour):
    return np.abs(colours - np.asarray(colour[:3])).max(axis=-1)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((64, 64), (320, 320)),
        ((100, 256), (200, 512)),
        ((320, 400), (320, 400)),
        ((1500, 1000), (640, 427)),
        ((1, 1), (320, 320)),
    ],
)
def test_size_of_pictures(size, shown):
    found = pictures(render_panel(*inputs(*size), title="t"))
    assert [picture.shape[:2] for picture in found] == [shown] * 4


def test_truth_is_a_fifth_picture():
    image, mask, quality, error = inputs(320, 320, TP)
    found = pictures(render_panel(image, mask, quality, error, title="t", truth_quality=np.full_like(quality, FP)))
    assert len(found) == 5
    assert np.median(distance(found[2], CLASS_COLOURS[TP])) < np.median(distance(found[2], CLASS_COLOURS[FP]))
    assert np.median(distance(found[4], CLASS_COLOURS[FP])) < np.median(distance(found[4], CLASS_COLOURS[TP]))


@pytest.mark.parametrize("code", [TP, FP, FN])
@pytest.mark.parametrize("size", [64, 1280])
def test_quality_has_the_colours_of_its_classes(code, size):
    overlay = pictures(render_panel(*inputs(size, size, code), title="t"))[2]
    nearest = min((TP, FP, FN), key=lambda other: distance(overlay, CLASS_COLOURS[other]).mean())
    assert nearest == code and np.ptp(overlay.reshape(-1, 3), axis=0).max() == 0


def test_true_negatives_have_no_colour():
    overlay = pictures(render_panel(*inputs(320, 320, TN), title="t"))[2]
    assert (np.ptp(overlay, axis=2) == 0).all()


def test_image_is_shown_as_it_is():
    image, *rest = inputs(320, 400)
    image[:, :200] = (1, 0, 0)
    shown = pictures(render_panel(image, *rest, title="t"))[0]
    assert (shown[:, :200] == (255, 0, 0)).all() and (shown[:, 200:] == 128).all()


def test_mask_is_outlined():
    image, mask, quality, error = inputs(320, 400)
    mask[100:200, 100:200] = True
    plain, masked = pictures(render_panel(image, mask, quality, error, title="t"))[:2]
    changed = (plain != masked).any(axis=2)
    assert changed[100:200, 100:200].all() and not changed[:98].any() and not changed[203:].any()
    assert distance(masked[100, 150], (240, 228, 66)) == 0, "the outline is yellow"
    assert distance(masked[150, 150], (240, 228, 66)) > 60, "the image shines through the fill"


def test_error_map_follows_the_scale():
    image, mask, quality, _ = inputs(320, 320)
    error = np.broadcast_to(np.linspace(0, 1, 320), (320, 320))
    shown = pictures(render_panel(image, mask, quality, error, title="t"))[3]
    np.testing.assert_array_equal(shown[10, 0], ERROR_SCALE[0])
    np.testing.assert_array_equal(shown[10, -1], ERROR_SCALE[-1])


def test_scale_brightens_evenly():
    lightness = ERROR_SCALE @ np.array([0.2126, 0.7152, 0.0722])
    steps = np.diff(lightness)
    assert (steps > -0.5).all() and lightness[0] < 10 and lightness[-1] > 240


@pytest.mark.parametrize("size", [64, 1280])
def test_what_was_not_assessed_has_no_class_and_no_probability(size):
    image, mask, quality, error = inputs(size, size, FP)
    error = error.copy()
    quality[: size // 2] = NOT_ASSESSED
    error[: size // 2] = np.nan
    _, _, overlay, errors = pictures(render_panel(image, mask, quality, error, title="t"))
    half = overlay.shape[0] // 2
    for picture in (overlay, errors):
        assert (np.ptp(picture[:half], axis=2) < 15).all() and (picture[:half] > 200).all()
        assert (np.ptp(picture[half:], axis=2) > 50).all()


def test_thin_errors_survive_reduction():
    image, mask, quality, error = inputs(1280, 1280, TN)
    quality[:, 640], mask[:, 640] = FP, True
    overlay = pictures(render_panel(image, mask, quality, error, title="t"))[2]
    assert distance(overlay, CLASS_COLOURS[FP])[:, 320].max() < 40


def test_title_estimate_legend_and_notes_are_drawn():
    base = np.asarray(render_panel(*inputs(320, 320), title=""))
    for change in ({"title": "a title"}, {"title": "", "estimated_iou": 0.5}):
        other = np.asarray(render_panel(*inputs(320, 320), **change))
        assert other.shape == base.shape and (other[:70] != base[:70]).any() and (other[70:] == base[70:]).all()
    noted = render_panel(*inputs(320, 320), title="", notes=("one", "two " * 1000))
    assert noted.height > base.shape[0] + 100 and noted.width == base.shape[1]
    assert np.array_equal(np.asarray(render_panel(*inputs(320, 320), title="", estimated_iou=float("nan"))), base)


def test_a_long_title_is_cut_off():
    assert render_panel(*inputs(320, 320), title="long " * 200).width == render_panel(*inputs(320, 320), title="").width


def test_shapes_are_checked():
    image, mask, quality, error = inputs(32, 40)
    for wrong in ((image[..., :2], mask, quality, error), (image, mask.T, quality, error), (image, mask, quality, error[1:])):
        with pytest.raises(ValueError, match=r"image must be \(H, W, 3\)"):
            render_panel(*wrong, title="t")
    with pytest.raises(ValueError, match="everything else"):
        render_panel(*inputs(0, 0), title="t")
