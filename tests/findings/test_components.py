import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from scipy import ndimage

from segassess.findings.array_store import ArrayStore
from segassess.findings.components import Components
from segassess.findings.outlines import OutlineStore

PIXELS = ndimage.gaussian_filter(np.random.default_rng(0).random((90, 70)), 1.5) > 0.505


@pytest.mark.parametrize("cuts", [(), (45,), (10, 11, 12, 60), tuple(range(1, 90))], ids=["whole", "two", "some", "rows"])
def test_chunks_give_the_components_of_the_whole(cuts, tmp_path):
    outlines = OutlineStore(ArrayStore(tmp_path))
    components, labels = Components(outlines, amounts=("square",)), []
    values = np.random.default_rng(1).random(PIXELS.shape)
    for top, bottom in itertools.pairwise([0, *cuts, 90]):
        labels.append(components.add(PIXELS[top:bottom], values[top:bottom], values[top:bottom] ** 2))
    shape = SimpleNamespace(**{name: np.asarray(each) for name, each in components.finish().items()})
    provisional = np.concatenate(labels)
    expected, count = ndimage.label(PIXELS, np.ones((3, 3)))
    assert count > 20 and np.array_equal(np.where(provisional > 0, components.number[provisional - 1] + 1, 0), expected)
    index = np.arange(1, count + 1)
    assert shape.area_px.tolist() == ndimage.sum_labels(PIXELS, expected, index).tolist()
    centres = np.array(ndimage.center_of_mass(PIXELS, expected, index)) + 0.5
    assert np.allclose(np.stack([shape.y, shape.x], axis=1), centres)
    boxes = [(box[0].start, box[0].stop, box[1].start, box[1].stop) for box in ndimage.find_objects(expected)]
    assert np.stack([shape.top, shape.bottom, shape.left, shape.right], axis=1).tolist() == [list(box) for box in boxes]
    assert np.allclose(shape.error, ndimage.sum_labels(values, expected, index))
    assert np.allclose(shape.square, ndimage.sum_labels(values**2, expected, index))
    assert shape.max_error.tolist() == ndimage.maximum(values, expected, index).tolist()
    shapes = outlines.chosen(components.outlines(np.arange(count))).shapes()
    assert shapely.is_valid(shapes).all() and np.array_equal(shapely.area(shapes), shape.area_px)
    for number in (1, count):
        rows, columns = np.nonzero(expected == number)
        assert shapely.contains_xy(shapes[number - 1], columns + 0.5, rows + 0.5).all()


def test_nothing_there():
    components = Components(OutlineStore(ArrayStore()))
    assert not components.add(np.zeros((4, 5), bool), np.zeros((4, 5))).any()
    for each in (components, Components(OutlineStore(ArrayStore()))):
        assert len(each.finish()["area_px"]) == len(each.outlines(np.arange(0))) == 0


@pytest.mark.parametrize("height", [90, 17, 5])
def test_specks_are_left_out_and_the_rest_stays(height):
    outlines = OutlineStore(ArrayStore())
    everything, large = Components(outlines), Components(outlines, min_area=20)
    error = np.zeros(PIXELS.shape)
    for top in range(0, 90, height):
        all_labels = everything.add(PIXELS[top : top + height], error[top : top + height])
        labels = large.add(PIXELS[top : top + height], error[top : top + height])
        assert not (labels[all_labels == 0]).any()
    before, after = everything.finish(), large.finish()
    area, x = after["area_px"], after["x"]
    assert len(area) < len(before["area_px"]) and large.count < everything.count
    chosen = np.flatnonzero(before["area_px"] >= 20)
    assert area[area >= 20].tolist() == before["area_px"][chosen].tolist()
    assert x[area >= 20].tolist() == before["x"][chosen].tolist()
    expected = outlines.chosen(everything.outlines(chosen)).shapes()
    found = outlines.chosen(large.outlines(np.flatnonzero(area >= 20))).shapes()
    assert [one.equals(other) for one, other in zip(found, expected, strict=True)] == [True] * len(expected)
