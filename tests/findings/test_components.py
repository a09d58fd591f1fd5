import itertools

import numpy as np
import pytest
import shapely
from scipy import ndimage

from segassess.findings.components import Components, sums, unpack

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
    outlines = [unpack(packed) for packed in components.packed_outlines()]
    assert shapely.is_valid(outlines).all() and np.array_equal(shapely.area(outlines), shape.area)
    for number in (1, count):
        rows, columns = np.nonzero(expected == number)
        assert shapely.contains_xy(outlines[number - 1], columns + 0.5, rows + 0.5).all()


def test_nothing_there():
    components = Components(outlines=True)
    assert not components.add(np.zeros((4, 5), bool)).any()
    assert len(components.finish().area) == len(components.packed_outlines()) == len(components.total(np.zeros(0))) == 0
    assert len(Components().finish().area) == 0


@pytest.mark.parametrize("height", [90, 17, 5])
def test_specks_are_left_out_and_the_rest_stays(height):
    everything, large = Components(outlines=True), Components(outlines=True, min_area=20)
    for top in range(0, 90, height):
        all_labels = everything.add(PIXELS[top : top + height])
        labels = large.add(PIXELS[top : top + height])
        assert not (labels[all_labels == 0]).any()
    before, after = everything.finish(), large.finish()
    assert len(after.area) < len(before.area) and large.count < everything.count
    chosen = before.area >= 20
    assert after.area[after.area >= 20].tolist() == before.area[chosen].tolist()
    assert after.x[after.area >= 20].tolist() == before.x[chosen].tolist()
    outlines = everything.packed_outlines()
    expected = [outline for outline, area in zip(outlines, before.area, strict=True) if area >= 20]
    found = [outline for outline, area in zip(large.packed_outlines(), after.area, strict=True) if area >= 20]
    assert [unpack(one).equals(unpack(other)) for one, other in zip(found, expected, strict=True)] == [True] * len(expected)
