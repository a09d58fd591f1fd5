import itertools

import numpy as np
import pytest
import rasterio.features
import shapely
from scipy import ndimage

from segassess.findings.outlines import OutlineTracer, PackedOutlines

# Noise touches itself at corners in every way: saddles of one part and of two, holes in parts that lie in holes.
NOISE = [np.random.default_rng(seed).random((24, 30)) < share for seed, share in enumerate((0.3, 0.5, 0.6, 0.8))]


def traced(labels, cuts):
    tracer = OutlineTracer()
    for top, bottom in itertools.pairwise([0, *cuts, len(labels)]):
        tracer.add(labels[top:bottom].astype(np.int64))
    return tracer.finish()


@pytest.mark.parametrize("pixels", NOISE)
@pytest.mark.parametrize("cuts", [(), (10,), (1, 2, 3, 20), tuple(range(1, 24))], ids=["whole", "two", "some", "rows"])
def test_outlines_are_valid_and_those_of_gdal(pixels, cuts):
    labels, count = ndimage.label(pixels, np.ones((3, 3)))
    outlines, numbers = traced(labels, cuts)
    shapes = outlines.shapes()
    assert sorted(numbers) == list(range(1, count + 1)) and shapely.is_valid(shapes).all()
    for number, shape in zip(numbers, shapes, strict=True):
        alone = labels == number
        parts = rasterio.features.shapes(alone.astype(np.uint8), alone, connectivity=4)
        assert shape.equals(shapely.union_all([shapely.geometry.shape(each) for each, _ in parts]))
        # No corner lies on a straight line: the area of each triangle of neighbours is not 0.
        assert len(shapely.get_coordinates(shape)) == len(shapely.get_coordinates(shapely.simplify(shape, 0)))


def test_some_of_the_outlines_and_several_tables():
    outlines, _ = traced(ndimage.label(NOISE[1], np.ones((3, 3)))[0], (7,))
    shapes, chosen = outlines.shapes(), np.array([3, 0, 3])
    assert outlines[chosen].shapes().tolist() == shapes[chosen].tolist()
    assert outlines[2:5].shapes().tolist() == shapes[2:5].tolist()
    both = PackedOutlines.joined([outlines[:0], outlines, outlines[chosen]])
    assert both.shapes().tolist() == [*shapes, *shapes[chosen]]
    assert len(PackedOutlines.empty().shapes()) == len(PackedOutlines.joined([])) == 0
