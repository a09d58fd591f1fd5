"""An image with a damaged block: read around it, or refused."""

import numpy as np
import pytest
import rasterio

from segassess.errors import InputError
from segassess.raster import Rendering, read_image
from segassess.raster.image import open_image
from segassess.raster.unreadable import UnreadableCells


@pytest.fixture
def damaged(tmp_path):
    """A tiled image of 300 x 260 px whose block at rows 128 to 256 and columns 0 to 128 holds no deflate stream."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, 300, 260)).astype(np.uint8)
    path = tmp_path / "image.tif"
    layout = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    with rasterio.open(path, "w", height=300, width=260, count=3, dtype="uint8", interleave="pixel", **layout) as out:
        out.write(pixels)
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", bidx=1))
        size = int(file.get_tag_item("BLOCK_SIZE_0_1", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
    return path, pixels


def test_it_is_refused_by_default(damaged):
    with pytest.raises(InputError, match="damaged or truncated"):
        read_image(damaged[0])


def test_it_is_read_around(damaged):
    path, pixels = damaged
    lost = np.zeros((300, 260), bool)
    lost[128:256, :128] = True
    with open_image(path, Rendering(skip_unreadable=True)) as image:
        assert image.unreadable_pixels(slice(0, 300)) == 0
        for rows, columns in ((slice(0, 200), slice(100, 260)), (slice(100, 300), slice(0, 131)), (slice(None), slice(None))):
            got, valid = image.read(rows, columns)
            assert np.array_equal(valid, ~lost[rows, columns])
            expected = np.where(lost, 0, pixels).transpose(1, 2, 0)[rows, columns] / np.float32(255)
            assert np.allclose(got, expected)
        assert image.unreadable_pixels(slice(0, 300)) == lost.sum()
        assert image.unreadable_pixels(slice(100, 150)) == lost[100:150].sum()


def test_cells_at_the_border_count_their_pixels():
    cells = UnreadableCells(70, 70)

    def read(rows, columns):
        raise rasterio.errors.RasterioIOError("damaged")

    _, valid = cells.read(read, slice(0, 70), slice(0, 70))
    assert not valid.any() and cells.pixels(slice(0, 70)) == 70 * 70 and cells.pixels(slice(60, 66)) == 6 * 70
