import itertools

import numpy as np
import pytest
import rasterio.features
import shapely
from scipy import ndimage

from segassess.findings.array_store import ArrayStore
from segassess.findings.outlines import OutlineStore, OutlineTracer

# Noise touches itself at corners in every way: saddles of one part and of two, holes in parts that lie in holes.
NOISE = [np.random.default_rng(seed).random((24, 30)) < share for seed, share in enumerate((0.3, 0.5, 0.6, 0.8))]


def traced(labels, cuts, folder=None):
    store = OutlineStore(ArrayStore(folder))
    tracer = OutlineTracer(store)
    for top, bottom in itertools.pairwise([0, *cuts, len(labels)]):
        tracer.add(labels[top:bottom].astype(np.int64))
    places, numbers = tracer.finish()
    return store.chosen(places), numbers


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


def test_some_of_the_outlines_from_a_file(tmp_path):
    labels, _ = ndimage.label(NOISE[1], np.ones((3, 3)))
    shapes, chosen = traced(labels, (7,))[0].shapes(), np.array([3, 0, 3])
    outlines, _ = traced(labels, (7,), tmp_path)
    assert outlines.shapes().tolist() == shapes.tolist()
    assert outlines[chosen].shapes().tolist() == shapes[chosen].tolist()
    assert outlines[2:5].shapes().tolist() == shapes[2:5].tolist()
    assert len(outlines[:0].shapes()) == len(traced(np.zeros((2, 3)), ())[0].shapes()) == 0
