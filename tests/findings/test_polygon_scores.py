"""Scores of polygons against those of a raster of each one, whatever the rows are cut into."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pyogrio
import pytest
import rasterio.features
import shapely
from scipy import ndimage

from segassess.errors import InputError
from segassess.findings.bands import JudgedRows
from segassess.findings.findings import gather_findings
from segassess.quality import FN, FP, TN, TP
from segassess.raster import Grid, VectorMask
from tests.findings.columns import each_of

GRID = Grid(48, 60)
MIN_AREA = 12


def layer_of(path, shapes):
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        pyogrio.raw.write(path, shapely.to_wkb(np.array(shapes, object)), [], [], geometry_type="Unknown", crs=None)
    return VectorMask(str(path), GRID)


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """Polygons that overlap, touch, have holes and parts, are specks, and lie on the border or beyond it."""
    rng = np.random.default_rng(1)
    shapes = []
    for x, y, width, height, angle in zip(
        *rng.uniform(-3, 60, (2, 40)), *rng.uniform(0.3, 14, (2, 40)), rng.uniform(0, 90, 40), strict=True
    ):
        shapes.append(shapely.affinity.rotate(shapely.box(x, y, x + width, y + height), angle))
    shapes += [shapely.box(10, 10, 20, 20), shapely.box(20, 10, 25, 20), shapely.box(9.5, 9.5, 20.5, 20.5)]
    shapes.append(shapely.box(30, 5, 50, 45).difference(shapely.box(35, 10, 45, 40)))
    shapes.append(shapely.MultiPolygon([shapely.box(2, 30, 6, 34), shapely.box(2, 40, 12, 46)]))
    shapes += [shapely.box(7.6, 40.6, 7.9, 40.9), shapely.box(100, 100, 110, 110), shapely.Point(3, 3)]
    return layer_of(tmp_path_factory.mktemp("layer") / "roofs.gpkg", shapes)


@pytest.fixture(scope="module")
def rows(layer):
    """All rows of a judged mask; a corner has no data."""
    rng = np.random.default_rng(2)
    valid = np.ones((GRID.height, GRID.width), bool)
    valid[:12, 40:] = False
    mask = layer.read()[0] & valid
    wrong = rng.random(mask.shape) * np.linspace(0.2, 1.4, GRID.width).clip(max=1)
    true = np.where(mask, 1 - wrong, 0).astype(np.float16)
    missing = np.where(mask | ~valid, 0, wrong).astype(np.float16)
    error = np.where(valid, np.round(wrong * 250) / np.float32(250), np.nan).astype(np.float32)
    quality = np.where(mask, np.where(wrong > 0.6, FP, TP), np.where(wrong > 0.9, FN, TN))
    return JudgedRows(np.where(valid, quality, 255).astype(np.uint8), mask, true, missing, error)


def found(layer, rows, cuts=()):
    parts = (slice(top, bottom) for top, bottom in itertools.pairwise([0, *cuts, len(rows)]))
    chunks = (JudgedRows(*(plane[part] for plane in vars(rows).values())) for part in parts)
    found = gather_findings(chunks, rim_px=0, min_area=MIN_AREA, pixel_area_m2=0.25, layer=layer)
    return SimpleNamespace(polygons=each_of(found.polygons), objects=each_of(found.objects))


def test_as_counted_one_by_one(layer, rows):
    polygons = {each.feature: each for each in found(layer, rows).polygons}
    labels, count = ndimage.label(rows.mask, np.ones((3, 3)))
    kept = [number for number in range(1, count + 1) if (labels == number).sum() >= MIN_AREA]
    assert set(polygons) == set(layer.features) and 30 < len(polygons) < 48, "one is a point, others lie beyond the border"
    shared = unlisted = 0
    for feature, shape in zip(layer.features, layer.polygons, strict=True):
        each = polygons[feature]
        burnt = rasterio.features.rasterize([shape], out_shape=rows.mask.shape) > 0
        inside = burnt & ~np.isnan(rows.error)
        assert each.area_px == inside.sum() and each.area_m2 == 0.25 * each.area_px and each.outline is shape
        assert each.expected_tp_px == rows.true[inside].sum(dtype=float)
        assert each.expected_fp_px == each.area_px - each.expected_tp_px
        if not inside.any():
            assert each.verdict == "not assessed" and each.object == each.expected_fp_px == 0
            assert all(map(math.isnan, (each.estimated_precision, each.fp_share, each.mean_error, each.max_error)))
            continue
        share = each.estimated_precision
        assert share == pytest.approx(rows.true[inside].mean(dtype=float))
        assert each.verdict == ("right" if share >= 0.75 else "wrong" if share < 0.5 else "partly wrong")
        assert each.fp_share == pytest.approx((rows.quality[inside] == FP).mean())
        assert each.mean_error == pytest.approx(rows.error[inside].mean(dtype=float))
        assert each.max_error == rows.error[inside].max()
        common = {number: (labels[inside] == label).sum() for number, label in enumerate(kept, 1) if label in labels[inside]}
        shared += len(common) > 1
        unlisted += not common
        assert each.object == max(common, key=lambda number: (common[number], -number), default=0)
    assert shared and unlisted and len({each.verdict for each in polygons.values()}) == 4


@pytest.mark.parametrize("cuts", [(1,), (2, 3, 12, 13), tuple(range(1, 48))], ids=["two", "some", "rows"])
def test_cuts_change_nothing(layer, rows, cuts):
    def numbers(polygons):
        return [tuple(repr(value) for name, value in vars(each).items() if name != "outline") for each in polygons]

    assert numbers(found(layer, rows, cuts).polygons) == numbers(found(layer, rows).polygons)


def test_worst_first(layer, rows):
    polygons = found(layer, rows).polygons
    expected = [each.expected_fp_px for each in polygons]
    assert expected == sorted(expected, reverse=True) and expected[0] > expected[10] > 0
    assert [each.polygon for each in polygons] == list(range(1, len(polygons) + 1))
    assert polygons[-1].verdict == "not assessed"


def test_touching_polygons_are_one_object_of_two_rows(tmp_path):
    layer = layer_of(tmp_path / "a.gpkg", [shapely.box(10, 10, 20, 20), shapely.box(20, 10, 25, 20)])
    mask = layer.read()[0]
    true = np.zeros(mask.shape, np.float16)
    true[10:20, 10:20], true[10:20, 20:25] = 0.875, 0.25
    quality = np.where(mask, np.where(true < 0.5, FP, TP), TN).astype(np.uint8)
    findings = found(layer, JudgedRows(quality, mask, true, true * 0, np.where(mask, 1 - true, 0)))
    (one,) = findings.objects
    assert one.verdict == "partly wrong" and one.expected_tp_px == 100
    assert [(each.feature, each.object, each.verdict, each.expected_fp_px, each.fp_share) for each in findings.polygons] == [
        (2, 1, "wrong", 37.5, 1.0),
        (1, 1, "right", 12.5, 0.0),
    ]


def test_a_layer_that_lies_elsewhere_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.gpkg .*\(100, 100\)"):
        layer_of(tmp_path / "a.gpkg", [shapely.box(100, 100, 110, 110)])
    nothing = np.zeros((48, 60))
    rows = JudgedRows(np.full(nothing.shape, TN, np.uint8), nothing > 0, nothing, nothing, nothing)
    assert found(None, rows).polygons == []
