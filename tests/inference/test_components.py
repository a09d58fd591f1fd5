import itertools

import numpy as np
import pytest
import shapely
from scipy import ndimage

from segassess.inference.components import Components, sums

PIXELS = ndimage.gaussian_filter(np.random.default_rng(0).random((90, 70)), 1.5) > 0.505


@pytest.mark.parametrize("cuts", [(), (45,), (10, 11, 12, 60), tuple(range(1, 90))], ids=["whole", "two", "some", "rows"])
def test_chunks_give_the_components_of_the_whole(cuts):
    components, labels, totals = Components(outlines=True), [], []
    values = np.random.default_rng(1).random(PIXELS.shape)
    for top, bottom in itertools.pairwise([0, *cuts, 90]):
        first = components.count
        labels.append(components.add(PIXELS[top:bottom]))
        totals.append(sums(labels[-1], first, components.count, values[top:bottom]))
    shape = components.finish()
    provisional = np.concatenate(labels)
    expected, count = ndimage.label(PIXELS, np.ones((3, 3)))
    assert count > 20 and np.array_equal(np.where(provisional > 0, components.number[provisional - 1] + 1, 0), expected)
    index = np.arange(1, count + 1)
    assert shape.area.tolist() == ndimage.sum_labels(PIXELS, expected, index).tolist()
    centres = np.array(ndimage.center_of_mass(PIXELS, expected, index)) + 0.5
    assert np.allclose(np.stack([shape.y, shape.x], axis=1), centres)
    boxes = [(box[0].start, box[0].stop, box[1].start, box[1].stop) for box in ndimage.find_objects(expected)]
    assert np.stack([shape.top, shape.bottom, shape.left, shape.right], axis=1).tolist() == [list(box) for box in boxes]
    assert np.allclose(components.total(np.concatenate(totals)), ndimage.sum_labels(values, expected, index))
    outlines = components.outline()
    assert shapely.is_valid(outlines).all() and np.array_equal(shapely.area(outlines), shape.area)
    for number in (1, count):
        rows, columns = np.nonzero(expected == number)
        assert shapely.contains_xy(outlines[number - 1], columns + 0.5, rows + 0.5).all()


def test_nothing_there():
    components = Components(outlines=True)
    assert not components.add(np.zeros((4, 5), bool)).any()
    assert len(components.finish().area) == len(components.outline()) == len(components.total(np.zeros(0))) == 0
    assert len(Components().finish().area) == 0
