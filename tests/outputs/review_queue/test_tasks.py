"""Tiles of a review queue: worst first, and their errors where the maps say they are."""

import csv
import shutil

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from PIL import Image

from segassess.errors import RequestError
from segassess.outputs.review_queue.tasks import make_tasks, without_holes


def rasterised(task, quality):
    """Pixels of the errors of a class."""
    rings = [shapely.Polygon(ring) for error in task.errors if error.quality == quality for ring in error.rings]
    return rasterio.features.rasterize(rings, out_shape=(task.height, task.width)) > 0 if rings else np.zeros((1, 1), bool)


def test_tasks_are_the_tiles_worst_first(predicted, tmp_path):
    tasks = make_tasks(predicted, tmp_path)
    assert len(tasks) == 2 * 2 * 3 and {task.source for task in tasks} == {"perturbed", "perturbed_outline"}
    expected = [task.scores["error_area_px"] for task in tasks]
    assert expected == sorted(expected, reverse=True) and expected[0] > expected[-1] >= 0
    rows = [row for path in predicted.glob("image/*/tiles.csv") for row in csv.DictReader(path.open())]
    assert sum(float(row["error_area_px"]) for row in rows) == pytest.approx(sum(expected))
    (task,) = (task for task in tasks if task.source == "perturbed" and task.tile == "r1c2")
    assert (task.left, task.top, task.width, task.height) == (200, 100, 30, 50)
    assert (task.x, task.y) == pytest.approx((500_000.25 + 215 * 0.15, 9_300_000.75 - 125 * 0.15))
    assert task.title == "image, mask of perturbed, tile r1c2"
    a, b, c, d, e, f = task.transform
    assert (a * 15 + b * 25 + c, d * 15 + e * 25 + f) == pytest.approx((task.x, task.y))
    assert task.crs == "EPSG:32736"
    assert make_tasks(predicted, tmp_path, most=3) == tasks[:3]


def test_pictures_show_the_tiles(predicted, tmp_path):
    tasks = make_tasks(predicted, tmp_path)
    assert len(list((tmp_path / "images").iterdir())) == 6, "masks of one image share its pictures"
    with rasterio.open(predicted.parent / "image.tif") as file:
        pixels = file.read().transpose(1, 2, 0)
    for task in tasks:
        shown = np.asarray(Image.open(tmp_path / task.picture))
        assert np.array_equal(shown, pixels[task.top : task.top + task.height, task.left : task.left + task.width])


def test_pictures_show_the_outline_of_the_mask(predicted, tmp_path):
    tasks = make_tasks(predicted, tmp_path)
    assert len(list((tmp_path / "masks").iterdir())) == len(tasks)
    for task in tasks:
        with rasterio.open(predicted.parent / f"{task.source}.tif") as file:
            mask = file.read(1)[task.top : task.top + task.height, task.left : task.left + task.width] > 0
        plain, outlined = (np.asarray(Image.open(tmp_path / each)) for each in (task.picture, task.mask_picture))
        drawn = (plain != outlined).any(axis=2)
        assert drawn.any() == (0 < mask.mean() < 1) and mask[drawn].all() and (outlined[drawn] == (255, 255, 0)).all()


def test_rims_are_left_out(predicted, tmp_path):
    areas, every = (make_tasks(predicted, tmp_path, errors=10_000, rims=rims) for rims in (False, True))
    forms = [{error.form for task in tasks for error in task.errors} for tasks in (areas, every)]
    assert forms == [{"area"}, {"area", "rim"}]


def test_errors_lie_where_the_quality_map_has_them(predicted, tmp_path):
    found = 0
    for task in make_tasks(predicted, tmp_path, simplify_px=0, errors=10_000, rims=True):
        with rasterio.open(predicted / "image" / task.source / "quality.tif") as file:
            codes = file.read(1)[task.top : task.top + task.height, task.left : task.left + task.width]
        for code, quality in ((1, "FP"), (3, "FN")):
            here = rasterised(task, quality)
            assert not here.any() or (codes[here] == code).all()
            found += here.sum()
            # Errors of fewer than 25 pixels are in no layer.
            assert here.sum() >= (codes == code).sum() - 25 * 40
        for error in task.errors:
            for ring in error.rings:
                assert len(ring) >= 3 and all(0 <= x <= task.width and 0 <= y <= task.height for x, y in ring)
        assert [error.error for error in task.errors] == sorted(error.error for error in task.errors)
    assert found > 1000


def test_simplified_outlines_have_fewer_corners(predicted, tmp_path):
    exact, coarse = (make_tasks(predicted, tmp_path, simplify_px=pixels, rims=True)[0] for pixels in (0, 1.5))
    corners = [sum(len(ring) for error in task.errors for ring in error.rings) for task in (exact, coarse)]
    assert corners[1] < 0.7 * corners[0]
    assert rasterised(coarse, "FP").sum() == pytest.approx(rasterised(exact, "FP").sum(), rel=0.15)
    assert len(make_tasks(predicted, tmp_path, errors=1)[0].errors) == 1


def test_holes_are_cut_open():
    holes = [shapely.box(2, 2, 4, 4), shapely.box(6, 1, 8, 3), shapely.box(3, 6, 7, 9)]
    polygon = shapely.box(0, 0, 10, 10) - shapely.union_all(holes)
    pieces = without_holes(polygon)
    assert len(pieces) > 1 and not any(piece.interiors for piece in pieces)
    assert shapely.union_all(pieces).equals(polygon) and sum(piece.area for piece in pieces) == pytest.approx(polygon.area)
    assert without_holes(holes[0]) == [holes[0]]


def test_what_cannot_be_used(predicted, tmp_path):
    with pytest.raises(RequestError, match=r"has no run\.json and scores\.csv; give the output_dir"):
        make_tasks(tmp_path, tmp_path / "queue")
    with pytest.raises(RequestError, match=r"image .*image="):
        make_tasks(predicted, tmp_path, str(predicted.parent / "perturbed.tif"))
    shutil.copytree(predicted, tmp_path / "copy")
    for name, words in (("errors.gpkg", "is not complete"), ("tiles.csv", r"has no tiles\.csv")):
        (tmp_path / "copy" / "image" / "perturbed" / name).unlink()
        with pytest.raises(RequestError, match=words):
            make_tasks(tmp_path / "copy", tmp_path / "queue")
