import json

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from rasterio.warp import transform as warp_points
from rasterio.warp import transform_bounds

from segassess.errors import InputError, RequestError
from segassess.raster import Georeference, Grid, Rendering, open_image, open_mask, read_image, read_mask

UTM = "EPSG:32736"
GRID = from_origin(500_000, 9_300_000, 0.5, 0.5)
RNG = np.random.default_rng(0)
RGB = RNG.integers(1, 255, (3, 12, 20), dtype=np.uint8)


@pytest.fixture(autouse=True)
def not_georeferenced_is_no_news(recwarn):
    yield
    assert not [warning for warning in recwarn if issubclass(warning.category, NotGeoreferencedWarning)]


def tif(path, data, crs=UTM, transform=GRID, colorinterp=None, colormap=None, **options):
    """Write (bands, H, W) or (H, W) and return the path."""
    data = np.atleast_3d(data.T).T
    bands, height, width = data.shape
    place = {"crs": crs, "transform": transform} if crs else {"transform": GRID}
    layout = {"driver": "GTiff", "width": width, "height": height, "count": bands, "dtype": data.dtype}
    with rasterio.open(path, "w", **layout, **place, **options) as file:
        file.write(data)
        if colorinterp:
            file.colorinterp = colorinterp
        if colormap:
            file.write_colormap(1, colormap)
    return path


def png(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


class TestImage:
    def test_rgb(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", RGB))
        assert raster.pixels.dtype == np.float32
        np.testing.assert_allclose(raster.pixels, RGB.transpose(1, 2, 0) / 255, atol=1e-6)
        assert raster.valid.all() and raster.valid.shape == (12, 20)
        assert raster.georeference.crs == UTM and raster.georeference.transform == GRID
        assert raster.path == str(tmp_path / "a.tif") and raster.notes == ()

    def test_png_has_no_georeference(self, tmp_path):
        raster = read_image(png(tmp_path / "a.png", RGB.transpose(1, 2, 0)))
        assert raster.georeference is None
        np.testing.assert_allclose(raster.pixels, RGB.transpose(1, 2, 0) / 255, atol=1e-6)

    def test_virtual_path(self, tmp_path):
        import zipfile

        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(png(tmp_path / "a.png", RGB[0]), "b.png")
        assert read_image(f"/vsizip/{tmp_path}/a.zip/b.png").pixels.shape == (12, 20, 3)
        with pytest.raises(InputError, match=r"c\.png cannot be opened as an image .*; check the address"):
            read_image(f"/vsizip/{tmp_path}/a.zip/c.png")

    def test_grey_is_repeated(self, tmp_path):
        raster = read_image(png(tmp_path / "a.png", RGB[0]))
        for channel in range(3):
            np.testing.assert_allclose(raster.pixels[..., channel], RGB[0] / 255, atol=1e-6)

    def test_grey_and_alpha(self, tmp_path):
        alpha = np.where(np.arange(20) < 5, 0, 255).astype(np.uint8) * np.ones((12, 1), np.uint8)
        raster = read_image(png(tmp_path / "a.png", np.stack([RGB[0], alpha], axis=-1)))
        np.testing.assert_array_equal(raster.valid, alpha > 0)
        assert (raster.pixels[~raster.valid] == 0).all() and raster.pixels.shape == (12, 20, 3)

    def test_rgba(self, tmp_path):
        alpha = np.full((12, 20), 255, np.uint8)
        alpha[:3] = 0
        raster = read_image(png(tmp_path / "a.png", np.stack([*RGB, alpha], axis=-1)))
        np.testing.assert_array_equal(raster.valid, alpha > 0)
        np.testing.assert_allclose(raster.pixels[3:], RGB.transpose(1, 2, 0)[3:] / 255, atol=1e-6)

    def test_near_infrared_that_poses_as_alpha(self, tmp_path):
        near_infrared = RNG.integers(0, 120, (1, 12, 20), dtype=np.uint8)
        path = tif(tmp_path / "a.tif", np.concatenate([RGB, near_infrared]))
        with rasterio.open(path) as file:
            assert file.colorinterp[3] == ColorInterp.alpha, "GDAL no longer declares the fourth byte as alpha"
        raster = read_image(path)
        assert raster.valid.all()
        assert "band 4" in raster.notes[0]

    def test_near_infrared(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", np.concatenate([RGB, RGB[:1] // 2]), alpha="unspecified"))
        np.testing.assert_allclose(raster.pixels, RGB.transpose(1, 2, 0) / 255, atol=1e-6)
        assert raster.notes == ("bands 1, 2, 3 are used out of 4.",)

    def test_bands_are_ordered_by_colour(self, tmp_path):
        colours = [ColorInterp.undefined, ColorInterp.blue, ColorInterp.green, ColorInterp.red]
        path = tif(tmp_path / "a.tif", np.concatenate([RGB[:1] // 2, RGB[::-1]]), colorinterp=colours, photometric="minisblack")
        raster = read_image(path)
        np.testing.assert_allclose(raster.pixels, RGB.transpose(1, 2, 0) / 255, atol=1e-6)
        assert raster.notes == ("bands 4, 3, 2 are used out of 4.",)

    def test_more_bands(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", np.concatenate([RGB, RGB]), photometric="minisblack"))
        np.testing.assert_allclose(raster.pixels, RGB.transpose(1, 2, 0) / 255, atol=1e-6)
        assert raster.notes == ("bands 1, 2, 3 are used out of 6.",)

    def test_palette_is_expanded(self, tmp_path):
        index = Image.fromarray(np.arange(240, dtype=np.uint8).reshape(12, 20) % 3)
        index.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 51])
        index.save(tmp_path / "a.png")
        raster = read_image(tmp_path / "a.png")
        np.testing.assert_allclose(raster.pixels[0, :3], [[1, 0, 0], [0, 1, 0], [0, 0, 0.2]], atol=1e-6)

    def test_transparent_palette_entry_is_not_valid(self, tmp_path):
        index = Image.fromarray(np.arange(240, dtype=np.uint8).reshape(12, 20) % 3)
        index.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 51])
        index.save(tmp_path / "a.png", transparency=bytes([255, 0, 128]))
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").valid[0, :3], [True, False, True])

    def test_bilevel(self, tmp_path):
        Image.fromarray(RGB[0] > 127).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels[..., 0], RGB[0] > 127)

    def test_cmyk(self, tmp_path):
        colours = RGB.transpose(1, 2, 0)
        Image.fromarray(colours).convert("CMYK").save(tmp_path / "a.tif")
        np.testing.assert_allclose(read_image(tmp_path / "a.tif").pixels, colours / 255, atol=0.01)

    def test_uint16_is_stretched(self, tmp_path):
        ramp = np.linspace(200, 3000, 3 * 100 * 100).reshape(3, 100, 100).astype(np.uint16)
        ramp[0, 0, 0] = 65535
        raster = read_image(tif(tmp_path / "a.tif", ramp, photometric="minisblack"))
        assert raster.pixels.min() == 0 and raster.pixels.max() == 1
        assert abs(raster.pixels.mean() - 0.5) < 0.01, "an outlier must not darken the image"
        assert "stretched from 256 .. 29" in raster.notes[0]

    def test_eight_bits_in_uint16(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", RGB.astype(np.uint16)))
        np.testing.assert_allclose(raster.pixels, RGB.transpose(1, 2, 0) / 255, atol=1e-6)
        assert "used as 8-bit values" in raster.notes[0]

    def test_negative_integers_are_stretched(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", RGB.astype(np.int16) - 100))
        assert raster.pixels.min() == 0 and raster.pixels.max() == 1 and "stretched" in raster.notes[0]

    def test_constant_uint16(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", np.full((12, 20), 4000, np.uint16)))
        assert np.isfinite(raster.pixels).all() and np.ptp(raster.pixels) == 0

    def test_float_in_unit_range_with_gaps(self, tmp_path):
        data = (RGB / 512).astype(np.float32)
        data[0, 0, 0], data[1, 0, 1], data[2, 0, 2] = np.nan, np.inf, -np.inf
        raster = read_image(tif(tmp_path / "a.tif", data))
        np.testing.assert_array_equal(np.argwhere(~raster.valid), [[0, 0], [0, 1], [0, 2]])
        np.testing.assert_array_equal(raster.pixels[raster.valid], data.transpose(1, 2, 0)[raster.valid])
        assert (raster.pixels[~raster.valid] == 0).all() and raster.notes == ()

    def test_float_of_another_range_is_stretched(self, tmp_path):
        data = RGB.astype(np.float32) * 40.5
        data[:, 0, 0] = np.nan
        raster = read_image(tif(tmp_path / "a.tif", data))
        assert raster.pixels.min() == 0 and raster.pixels.max() == 1 and np.isfinite(raster.pixels).all()
        assert "stretched" in raster.notes[0] and raster.valid.sum() == 239

    def test_nothing_but_nan(self, tmp_path):
        raster = read_image(tif(tmp_path / "a.tif", np.full((3, 12, 20), np.nan, np.float32)))
        assert not raster.valid.any() and (raster.pixels == 0).all()

    def test_nodata_is_not_valid_and_not_stretched_over(self, tmp_path):
        data = RGB.astype(np.int16) * 10
        data[:, :2], data[0, 5, 5] = -9999, -9999
        raster = read_image(tif(tmp_path / "a.tif", data, nodata=-9999))
        assert not raster.valid[:2].any() and raster.valid[2:].all(), "one band at nodata is a colour"
        assert 0.3 < raster.pixels[2:].mean() < 0.7

    def test_mask_band_is_not_valid(self, tmp_path):
        path = tif(tmp_path / "a.tif", RGB)
        inside = np.zeros((12, 20), bool)
        inside[4:] = True
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            file.write_mask(inside)
        np.testing.assert_array_equal(read_image(path).valid, inside)


class TestMask:
    values = (RGB[0] > 150).astype(np.uint8)

    @pytest.mark.parametrize("high", [1, 255, 7])
    def test_any_value_above_zero(self, tmp_path, high):
        raster = read_mask(png(tmp_path / "a.png", self.values * np.uint8(high)))
        np.testing.assert_array_equal(raster.pixels, self.values > 0)
        assert raster.pixels.dtype == bool and raster.valid.all() and raster.notes == ()

    @pytest.mark.parametrize("values", [(0.1, 0.8), (-1.0, 1.0), (1.0, 2.0)])
    def test_two_values_that_leave_doubt_are_noted(self, tmp_path, values):
        low, high = values
        pixels = np.where(self.values > 0, np.float32(high), np.float32(low))
        raster = read_mask(tif(tmp_path / "a.tif", pixels[None]))
        assert raster.notes == (f"the mask has 2 values ({low:g}, {high:g}); any value > 0 is used as foreground.",)

    def test_several_values_are_noted(self, tmp_path):
        values = RGB[0] % 8
        raster = read_mask(png(tmp_path / "a.png", values))
        np.testing.assert_array_equal(raster.pixels, values > 0)
        assert raster.notes == ("the mask has 8 values (0, 1, 2, 3, 4, 5, ...); any value > 0 is used as foreground.",)

    def test_all_zero_is_fine(self, tmp_path):
        raster = read_mask(png(tmp_path / "a.png", self.values * np.uint8(0)))
        assert not raster.pixels.any() and raster.valid.all() and raster.notes == ("the mask has no foreground.",)

    def test_nan_is_said_unless_the_file_declares_it(self, tmp_path):
        data = np.eye(4, dtype=np.float32)
        data[0, 3] = np.nan
        assert read_mask(tif(tmp_path / "a.tif", data)).notes == ("pixels that are NaN are not assessed.",)
        assert read_mask(tif(tmp_path / "b.tif", data, nodata=np.nan)).notes == ()

    def test_float_with_nan(self, tmp_path):
        data = self.values.astype(np.float32)
        data[0, :4] = np.nan
        raster = read_mask(tif(tmp_path / "a.tif", data))
        assert not raster.valid[0, :4].any() and raster.valid.sum() == 236
        np.testing.assert_array_equal(raster.pixels[raster.valid], (self.values > 0)[raster.valid])

    def test_nodata(self, tmp_path):
        data = self.values.copy()
        data[:2] = 255
        raster = read_mask(tif(tmp_path / "a.tif", data, nodata=255))
        assert not raster.valid[:2].any() and not raster.pixels[:2].any() and raster.valid[2:].all()

    def test_nodata_that_may_be_the_foreground(self, tmp_path):
        raster = read_mask(tif(tmp_path / "a.tif", self.values * np.uint8(255), nodata=255))
        assert not raster.pixels.any() and "if they are the foreground" in raster.notes[-1]

    def test_nodata_zero_is_background(self, tmp_path):
        raster = read_mask(tif(tmp_path / "a.tif", self.values, nodata=0))
        np.testing.assert_array_equal(raster.pixels, self.values > 0)
        assert raster.valid.all() and "nodata is 0" in raster.notes[0]

    def test_palette_is_read_by_index(self, tmp_path):
        path = tif(tmp_path / "a.tif", self.values, colormap={0: (255, 255, 255, 255), 1: (0, 0, 0, 255)})
        np.testing.assert_array_equal(read_mask(path).pixels, self.values > 0)

    def test_equal_bands(self, tmp_path):
        raster = read_mask(png(tmp_path / "a.png", np.stack([self.values * np.uint8(255)] * 3, axis=-1)))
        np.testing.assert_array_equal(raster.pixels, self.values > 0)

    def test_different_bands_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="3 different bands"):
            read_mask(png(tmp_path / "a.png", RGB.transpose(1, 2, 0)))

    def test_drawn_with_transparent_background(self, tmp_path):
        drawing = np.zeros((12, 20, 4), np.uint8)
        drawing[self.values > 0] = (0, 0, 200, 255)
        raster = read_mask(png(tmp_path / "a.png", drawing))
        np.testing.assert_array_equal(raster.pixels, self.values > 0)
        assert raster.valid.all() and "transparent pixels are used as background." in raster.notes

    def test_opaque_rgba(self, tmp_path):
        rgba = np.stack([*[self.values * np.uint8(255)] * 3, np.full((12, 20), 255, np.uint8)], axis=-1)
        raster = read_mask(png(tmp_path / "a.png", rgba))
        np.testing.assert_array_equal(raster.pixels, self.values > 0)
        assert raster.notes == ()

    def test_jpeg_is_noted(self, tmp_path):
        assert "lossy" in read_mask(png(tmp_path / "a.jpg", self.values * np.uint8(255))).notes[-1]


@pytest.mark.parametrize("read", [read_image, read_mask])
class TestRefusals:
    def refuses(self, read, path, match):
        with pytest.raises(InputError, match=match) as error:
            read(path)
        message = str(error.value)
        assert str(path) in message and "\n" not in message and message.endswith(".")

    def test_missing(self, read, tmp_path):
        self.refuses(read, tmp_path / "a.tif", "does not exist")

    def test_folder(self, read, tmp_path):
        self.refuses(read, tmp_path, "is a folder")

    def test_text(self, read, tmp_path):
        (tmp_path / "a.tif").write_text("not an image, in spite of its name\n")
        self.refuses(read, tmp_path / "a.tif", "cannot be opened as an? (image|mask)")

    def test_empty_file(self, read, tmp_path):
        (tmp_path / "a.tif").write_bytes(b"")
        self.refuses(read, tmp_path / "a.tif", "cannot be opened as an? (image|mask)")

    def test_zero_size(self, read, tmp_path):
        band = '<VRTRasterBand dataType="Byte" band="1"/>'
        (tmp_path / "a.vrt").write_text(f'<VRTDataset rasterXSize="0" rasterYSize="5">{band}</VRTDataset>')
        self.refuses(read, tmp_path / "a.vrt", "cannot be opened as an? (image|mask)")

    @pytest.mark.parametrize("options", [{}, {"compress": "deflate"}, {"compress": "deflate", "tiled": True}])
    def test_truncated_tiff(self, read, tmp_path, options):
        path = tif(tmp_path / "a.tif", RNG.integers(0, 255, (1, 300, 300), dtype=np.uint8), **options)
        path.write_bytes(path.read_bytes()[:40_000])
        self.refuses(read, path, "is damaged or truncated")

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_truncated_picture(self, read, tmp_path, suffix):
        smooth = (np.add.outer(np.arange(600), np.arange(600)) % 256).astype(np.uint8)
        path = png(tmp_path / f"a.{suffix}", smooth)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.refuses(read, path, "is damaged or truncated")

    def test_complex(self, read, tmp_path):
        self.refuses(read, tif(tmp_path / "a.tif", RGB.astype(np.complex64)), "complex numbers")


class TestMaskOnAnotherGrid:
    """The image has 20 x 12 pixels of 0.5 m; masks hold one block of foreground."""

    BLOCK = np.s_[3:7, 5:11]

    @pytest.fixture
    def grid(self):
        return Grid(12, 20, Georeference(CRS.from_string(UTM), GRID))

    def read(self, tmp_path, grid, shape=(12, 20), block=BLOCK, **place):
        pixels = np.zeros(shape, np.uint8)
        pixels[block] = 255
        with open_mask(tif(tmp_path / "mask.tif", pixels, **place), grid) as mask:
            return *mask.read(), mask.notes

    @pytest.mark.parametrize("shift", [0, 0.2])
    def test_the_same_grid_within_half_a_pixel(self, tmp_path, grid, shift):
        pixels, valid, notes = self.read(tmp_path, grid, transform=from_origin(500_000 + shift, 9_300_000, 0.5, 0.5))
        assert pixels[self.BLOCK].all() and pixels.sum() == 24 and valid.all() and notes == ()

    def test_a_mask_without_georeference_is_trusted(self, tmp_path, grid):
        path = png(tmp_path / "mask.png", np.ones((12, 20), np.uint8))
        with open_mask(path, grid) as mask:
            assert mask.read()[0].all() and mask.notes == ()

    def test_half_the_resolution(self, tmp_path, grid):
        coarse = from_origin(500_000, 9_300_000, 1, 1)
        pixels, valid, notes = self.read(tmp_path, grid, (6, 10), np.s_[1:3, 4:6], transform=coarse)
        assert pixels[2:6, 8:12].all() and pixels.sum() == 16 and valid.all()
        assert notes == (
            "the mask has 10 x 6 pixels (width x height) instead of 20 x 12; it is resampled to the grid of the image "
            "by nearest neighbour.",
        )

    def test_a_shift_of_two_pixels_leaves_two_columns_without_data(self, tmp_path, grid):
        pixels, valid, notes = self.read(tmp_path, grid, transform=from_origin(500_001, 9_300_000, 0.5, 0.5))
        assert pixels[3:7, 7:13].all() and pixels.sum() == 24
        assert not valid[:, :2].any() and valid[:, 2:].all()
        assert "lies up to 2.0 pixels off" in notes[0] and "nearest neighbour" in notes[0]

    def test_windows_are_parts_of_the_whole(self, tmp_path, grid):
        path = tif(tmp_path / "mask.tif", np.eye(9, dtype=np.uint8), transform=from_origin(500_001, 9_299_999, 0.7, 0.7))
        with open_mask(path, grid) as mask:
            whole = mask.read()
            for rows, columns in ((slice(0, 5), slice(3, 9)), (slice(5, 12), slice(9, 20))):
                for part, all_of_it in zip(mask.read(rows, columns), whole, strict=True):
                    np.testing.assert_array_equal(part, all_of_it[rows, columns])

    def test_another_crs(self, tmp_path, grid):
        (west, south, east, north) = transform_bounds(UTM, "EPSG:4326", 500_000, 9_299_994, 500_010, 9_300_000)
        place = {"crs": "EPSG:4326", "transform": from_origin(west, north, (east - west) / 40, (north - south) / 24)}
        pixels, _, notes = self.read(tmp_path, grid, (24, 40), np.s_[6:14, 10:22], **place)
        assert abs(int(pixels.sum()) - 24) <= 6 and pixels[4:6, 6:10].all()
        assert "is in EPSG:4326 instead of EPSG:32736" in notes[0] or "instead of 20 x 12" in notes[0]

    def test_what_cannot_be_placed(self, tmp_path, grid):
        path = png(tmp_path / "mask.png", np.ones((12, 21), np.uint8))
        with pytest.raises(
            InputError,
            match=r"has 21 x 12 pixels \(width x height\) instead of 20 x 12 .*CRS",
        ):
            with open_mask(path, grid):
                pytest.fail("it must not open")

    def test_a_class_that_is_not_there(self, tmp_path, grid):
        path = tif(tmp_path / "classes.tif", np.zeros((12, 20), np.uint8))
        with open_mask(path, grid, label=9) as mask:
            assert not mask.read()[0].any() and mask.notes == ("no pixel has the value 9.",)

    def test_a_class_against_the_rest(self, tmp_path, grid):
        path = tif(tmp_path / "classes.tif", np.arange(240, dtype=np.uint8).reshape(12, 20) % 4)
        with open_mask(path, grid, label=3) as mask:
            assert mask.read()[0].sum() == 60 and mask.read()[0][0, 3] and mask.notes == ()


class TestWindows:
    @pytest.mark.parametrize(
        "data",
        [RGB, RGB.astype(np.uint16) * 9 + 300, np.concatenate([RGB, np.full((1, 12, 20), 255, np.uint8)])],
        ids=["8 bits", "stretched", "alpha"],
    )
    def test_windows_are_parts_of_the_whole(self, tmp_path, data):
        path = tif(tmp_path / "a.tif", data, photometric="rgb" if data.dtype == np.uint8 else "minisblack")
        with open_image(path) as image:
            whole = image.read()
            for part, all_of_it in zip(image.read(slice(3, 9), slice(5, 20)), whole, strict=True):
                np.testing.assert_array_equal(part, all_of_it[3:9, 5:20])
        np.testing.assert_array_equal(read_image(path).pixels, whole[0])

    def test_a_large_image_is_stretched_by_a_sample(self, tmp_path, monkeypatch):
        monkeypatch.setattr("segassess.raster.image.SAMPLE_PIXELS", 500)
        ramp = np.linspace(200, 3000, 3 * 100 * 100).reshape(3, 100, 100).astype(np.uint16)
        raster = read_image(tif(tmp_path / "a.tif", ramp, photometric="minisblack"))
        assert abs(raster.pixels.mean() - 0.5) < 0.02 and "stretched" in raster.notes[0]

    def test_bands_and_range_by_choice(self, tmp_path):
        path = tif(tmp_path / "a.tif", np.concatenate([RGB, RGB[:1] // 2]).astype(np.uint16) * 10, photometric="minisblack")
        raster = read_image(path, Rendering(bands=(4, 3, 2), value_range=(0, 2550)))
        np.testing.assert_allclose(raster.pixels, np.stack([RGB[0] // 2, RGB[2], RGB[1]], axis=-1) / 255, atol=1e-6)
        assert raster.notes == ()
        with pytest.raises(InputError, match=r"4 bands.*bands=\[5\]"):
            read_image(path, Rendering(bands=(5,)))
        dark = read_image(path, Rendering(percentiles=(0, 100))).pixels
        assert dark.max() == 1 and (dark == 1).mean() < 0.02

    @pytest.mark.parametrize(
        "wrong", [{"bands": (1, 2)}, {"bands": (0,)}, {"value_range": (3, 3)}, {"percentiles": (50, 101)}, {"percentiles": (9,)}]
    )
    def test_wrong_choices(self, wrong):
        with pytest.raises(RequestError, match=next(iter(wrong))):
            Rendering(**wrong)


class TestPolygons:
    """Layers over an image of 20 x 12 pixels of 0.5 m; a polygon covers rows 3 to 6 and columns 5 to 10."""

    SQUARE = shapely.box(500_002.5, 9_299_996.5, 500_005.5, 9_299_998.5)

    @pytest.fixture
    def grid(self):
        return Grid(12, 20, Georeference(CRS.from_string(UTM), GRID))

    def layer(self, path, shapes, crs=UTM, **options):
        geometry = shapely.to_wkb(np.array(shapes, object))
        pyogrio.raw.write(path, geometry, [], [], geometry_type="Unknown", crs=crs, **options)
        return path

    @pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "shp"])
    def test_formats(self, tmp_path, grid, suffix):
        shapes = [self.SQUARE] if suffix != "geojson" else [shapely.transform(self.SQUARE, to_degrees)]
        options = {} if suffix != "shp" else {"promote_to_multi": False}
        path = tmp_path / f"a.{suffix}"
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb(np.array(shapes, object)),
            field_data=[np.array([1])],
            fields=["id"],
            geometry_type="Polygon",
            crs=UTM if suffix != "geojson" else "EPSG:4326",
            **options,
        )
        with open_mask(path, grid) as mask:
            pixels, valid = mask.read()
            assert pixels[3:7, 5:11].all() and pixels.sum() == 24 and valid.all()
            assert mask.notes == ("1 of 1 polygons lie on the image and are rasterised on its grid (pixel centres).",)
            np.testing.assert_array_equal(mask.read(slice(4, 9), slice(0, 8))[0], pixels[4:9, :8])

    def test_an_image_without_georeference(self, tmp_path):
        path = self.layer(tmp_path / "a.gpkg", [shapely.box(5, 3, 11, 7)], crs=None)
        with open_mask(path, Grid(12, 20)) as mask:
            assert mask.read()[0][3:7, 5:11].all() and mask.read()[0].sum() == 24
            assert "read as pixels" in mask.notes[0]

    def test_layers(self, tmp_path, grid):
        path = self.layer(tmp_path / "a.gpkg", [self.SQUARE], layer="roofs")
        self.layer(path, [], layer="roads", append=True)
        with pytest.raises(InputError, match=r"has the layers roofs, roads; name one, as in .*a\.gpkg\|layername=roofs"):
            with open_mask(path, grid):
                pytest.fail("it must not open")
        with open_mask(f"{path}|layername=roofs", grid) as mask:
            assert mask.read()[0].sum() == 24
        with open_mask(f"{path}|layername=roads", grid) as mask:
            assert not mask.read()[0].any() and mask.notes[-1].startswith("0 of 0 polygons")

    def test_lines_are_no_areas(self, tmp_path, grid):
        line = shapely.LineString([(500_000, 9_300_000), (500_005, 9_299_995)])
        with pytest.raises(InputError, match="holds no polygons; a mask needs areas, so buffer its lines or points"):
            with open_mask(self.layer(tmp_path / "a.gpkg", [line]), grid):
                pytest.fail("it must not open")
        with open_mask(self.layer(tmp_path / "b.gpkg", [line, self.SQUARE]), grid) as mask:
            assert mask.read()[0].sum() == 24 and "1 of 2 features" in mask.notes[0]

    def test_polygons_that_overlap_are_told_apart(self, tmp_path, grid):
        left, right = shapely.box(2, 3, 8, 7), shapely.box(5, 1, 30, 9)
        elsewhere, sliver = shapely.box(100, 100, 110, 110), shapely.box(1.6, 3.1, 1.9, 3.9)
        shapes = np.array([elsewhere, left, right, sliver], object)
        shapes = shapely.transform(shapes, lambda points: np.array([500_000, 9_300_000]) + 0.5 * points * [1, -1])
        with open_mask(self.layer(tmp_path / "a.gpkg", shapes), grid) as mask:
            assert mask.features.tolist() == [2, 3, 4] and mask.polygons[0].bounds == (2, 3, 8, 7)
            pieces = [(each.polygon, each.rows, each.columns, each.inside.sum()) for each in mask.pixels(2, 5)]
            assert pieces == [
                (0, slice(1, 3), slice(2, 8), 12),
                (1, slice(0, 3), slice(5, 20), 45),
                (2, slice(1, 2), slice(1, 2), 0),
            ]

    @pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "shp"])
    def test_columns_of_a_layer(self, tmp_path, grid, suffix):
        columns = {
            "osm": np.ma.array([2**40, 0, 7], mask=[0, 1, 0]),
            "height": np.array([2.5, 3.0, np.nan]),
            "name": np.array(["a", None, "c"], object),
            "day": np.array(["2020-01-02", "2021-03-04", "NaT"], "datetime64[D]"),
            "flat": np.array([True, False, True]),
        }
        if suffix == "shp":
            del columns["flat"]
        path = tmp_path / f"a.{suffix}"
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb(np.array([self.SQUARE] * 3, object)),
            field_data=[np.ma.getdata(values) for values in columns.values()],
            field_mask=[np.ma.getmaskarray(values) if name == "osm" else None for name, values in columns.items()],
            fields=list(columns),
            geometry_type="Polygon",
            crs=UTM,
        )
        first = 1 if suffix == "gpkg" else 0
        with open_mask(path, grid) as mask:
            features = mask.features
            assert features.tolist() == [first, first + 1, first + 2]
            read = mask.attributes(features[[2, 0, 1]])
        assert list(read) == list(columns)
        assert read["osm"].tolist() == [7, 2**40, None] and read["osm"].dtype == np.int64
        assert read["height"].tolist() == [None, 2.5, 3.0] and read["name"].tolist() == ["c", "a", None]
        assert read["day"][1].replace("/", "-").startswith("2020-01-02")
        if "flat" in columns:
            assert read["flat"].tolist() == [True, True, False] and read["flat"].dtype == bool
        with pytest.raises(InputError, match=rf"a\.{suffix} has lost features since it was judged; judge it again"):
            mask.attributes([9])
        path.unlink()
        with pytest.raises(InputError, match="does not exist"):
            mask.attributes(features)

    def test_columns_of_lists_are_left_out(self, tmp_path):
        square = {"type": "Polygon", "coordinates": [[[5, 3], [11, 3], [11, 7], [5, 3]]]}
        feature = {"type": "Feature", "geometry": square, "properties": {"tags": ["a", "b"], "use": {"of": "it"}}}
        (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        with open_mask(tmp_path / "a.geojson", Grid(12, 20)) as mask:
            read = mask.attributes(mask.features)
        assert list(read) == ["use"] and json.loads(read["use"][0]) == {"of": "it"}

    def test_what_cannot_be_read(self, tmp_path, grid):
        (tmp_path / "text.gpkg").write_text("no layer")
        for path, words in (("text.gpkg", "cannot be read as a layer of polygons"), ("none.gpkg", "does not exist")):
            with pytest.raises(InputError, match=words), open_mask(tmp_path / path, grid):
                pytest.fail("it must not open")


def to_degrees(points):
    return np.column_stack(warp_points(UTM, "EPSG:4326", points[:, 0], points[:, 1]))


class TestPixelArea:
    def area(self, tmp_path, crs, transform):
        georeference = read_mask(tif(tmp_path / "a.tif", RGB[0], crs=crs, transform=transform)).georeference
        return Grid(12, 20, georeference).pixel_area_m2

    def test_columns_go_east_and_rows_south(self):
        (east, north), (east_down, north_down) = Grid(12, 20, Georeference(CRS.from_user_input(UTM), GRID)).pixel_ground_m
        assert (east, north_down) == (pytest.approx(0.5, rel=1e-3), pytest.approx(-0.5, rel=1e-3))
        assert max(abs(north), abs(east_down)) < 0.02

    def test_utm_is_true_to_scale(self, tmp_path):
        # 0.9996 is UTM's scale factor at the central meridian.
        assert self.area(tmp_path, UTM, GRID) == pytest.approx(0.25 / 0.9996**2, rel=1e-4)

    def test_web_mercator_is_not(self, tmp_path):
        at_60_degrees_north = from_origin(0, 8_399_738, 1, 1)
        assert self.area(tmp_path, "EPSG:3857", at_60_degrees_north) == pytest.approx(0.25, rel=0.01)

    def test_degrees(self, tmp_path):
        # A degree of latitude is 110.574 km and one of longitude 111.320 km at the equator.
        area = self.area(tmp_path, "EPSG:4326", from_origin(179.9999, 0.00001, 1e-5, 1e-5))
        assert area == pytest.approx(1.10574 * 1.11320, rel=1e-4)
