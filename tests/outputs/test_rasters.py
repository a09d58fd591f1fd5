from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from segassess.errors import OutputError, RequestError
from segassess.files import atomic_path
from segassess.findings.bands import probability_steps
from segassess.outputs.rasters import ERROR, QUALITY, REFINED, open_raster, write_raster, write_style
from segassess.quality import CLASS_COLOURS
from segassess.raster import Georeference, Grid, read_mask

PLACE = Georeference(rasterio.crs.CRS.from_epsg(32736), from_origin(500_000, 9_300_000, 0.5, 0.5))
CODES = np.kron(np.random.default_rng(0).choice([0, 1, 2, 3, 255], (14, 20)), np.ones((50, 50))).astype(np.uint8)


@pytest.fixture(params=[PLACE, None], ids=["georeferenced", "plain"])
def place(request):
    return request.param


@pytest.mark.filterwarnings("error::rasterio.errors.NotGeoreferencedWarning")
def test_writing_without_georeference_does_not_warn(tmp_path):
    write_raster(tmp_path / "quality.tif", QUALITY, CODES)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
class TestRasters:
    def test_quality(self, tmp_path, place):
        write_raster(tmp_path / "quality.tif", QUALITY, CODES, place, {"DECODING": "consistent"})
        with rasterio.open(tmp_path / "quality.tif") as file:
            np.testing.assert_array_equal(file.read(1), CODES)
            assert (file.dtypes, file.nodata, file.count) == (("uint8",), 255, 1)
            assert file.profile["tiled"] and file.block_shapes == [(256, 256)] and file.profile["compress"] == "deflate"
            assert file.overviews(1) == [2, 4]
            assert set(np.unique(file.read(1, out_shape=(175, 250)))) <= {0, 1, 2, 3, 255}
            assert file.colorinterp == (ColorInterp.palette,)
            assert [file.colormap(1)[code][:3] for code in range(4)] == [colour[:3] for colour in CLASS_COLOURS]
            assert file.descriptions == ("quality",)
            assert file.tags()["DECODING"] == "consistent"
            assert file.tags()["CLASSES"].startswith("0=TP (true positive); 1=FP")
            if place is None:
                assert file.crs is None and file.transform.is_identity
            else:
                assert file.crs == place.crs and file.transform == place.transform

    def test_overviews_show_the_commonest_class(self, tmp_path):
        quality = np.zeros((600, 600), np.uint8)
        quality[::2, ::2] = 3
        write_raster(tmp_path / "quality.tif", QUALITY, quality)
        with rasterio.open(tmp_path / "quality.tif", overview_level=0) as file:
            assert file.shape == (300, 300) and not file.read(1).any()

    def test_transform_without_crs(self, tmp_path):
        write_raster(tmp_path / "quality.tif", QUALITY, CODES, Georeference(None, PLACE.transform))
        with rasterio.open(tmp_path / "quality.tif") as file:
            assert file.crs is None and file.transform == PLACE.transform

    def test_nothing_lies_beside_the_files(self, tmp_path, place):
        write_raster(tmp_path / "new" / "quality.tif", QUALITY, CODES, place)
        write_raster(tmp_path / "new" / "error.tif", ERROR, probability_steps(CODES / 255, CODES < 255), place)
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["error.tif", "quality.tif"]

    def test_rows_one_after_another_are_the_same_file(self, tmp_path, place):
        write_raster(tmp_path / "whole.tif", QUALITY, CODES, place)
        with open_raster(tmp_path / "rows.tif", QUALITY, Grid(*CODES.shape, place)) as writer:
            for top in range(0, len(CODES), 90):
                writer.write(CODES[top : top + 90])
        assert (tmp_path / "rows.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()

    def test_missing_rows(self, tmp_path):
        with (
            pytest.raises(ValueError, match="got 100 of 700 rows"),
            open_raster(tmp_path / "a.tif", QUALITY, Grid(700, 1000)) as out,
        ):
            out.write(CODES[:100])
        assert not list(tmp_path.iterdir())

    def test_what_cannot_be_read_back_does_not_appear(self, tmp_path, monkeypatch):
        copy = rasterio.shutil.copy

        def lose(plain, beside, **options):
            copy(plain, beside, **options)
            with rasterio.open(beside, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
                file.write(np.zeros((256, 256), np.uint8), 1, window=((0, 256), (0, 256)))

        monkeypatch.setattr("rasterio.shutil.copy", lose)
        with pytest.raises(OutputError, match=r"cannot be written .*make room"):
            write_raster(tmp_path / "quality.tif", QUALITY, CODES)
        assert not list(tmp_path.iterdir())

    def test_shape(self, tmp_path):
        with pytest.raises(ValueError, match=r"must be uint8 \(H, W\)"):
            write_raster(tmp_path / "quality.tif", QUALITY, CODES[None])

    def test_error(self, tmp_path, place):
        error = np.random.default_rng(0).random((600, 700))
        error[0, :3] = 0, 1, np.nan
        valid = np.ones((600, 700), bool)
        valid[5] = False
        write_raster(tmp_path / "error.tif", ERROR, probability_steps(error, valid), place)
        with rasterio.open(tmp_path / "error.tif") as file:
            stored = file.read(1, masked=True)
            assert file.scales == (0.004,) and file.offsets == (0.0,) and file.nodata == 255 and file.overviews(1)
            assert stored.mask[5].all() and stored.mask.sum() == 701 and stored.mask[0, 2]
            assert np.abs(stored * file.scales[0] - error).max() <= 0.0020001
            assert stored[0, :2].tolist() == [0, 250]

    def test_refined_is_a_mask_to_read(self, tmp_path, place):
        refined, valid = CODES < 2, CODES < 255
        write_raster(tmp_path / "refined.tif", REFINED, np.where(valid, refined, 255).astype(np.uint8), place)
        with rasterio.open(tmp_path / "refined.tif") as file:
            assert set(np.unique(file.read(1))) == {0, 1, 255} and file.nodata == 255
        raster = read_mask(tmp_path / "refined.tif")
        np.testing.assert_array_equal(raster.pixels, refined)
        np.testing.assert_array_equal(raster.valid, valid)

    def test_a_failed_rewrite_leaves_the_old_file(self, tmp_path, monkeypatch):
        write_raster(tmp_path / "quality.tif", QUALITY, CODES)
        before = (tmp_path / "quality.tif").read_bytes()
        monkeypatch.setattr("rasterio.shutil.copy", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_raster(tmp_path / "quality.tif", QUALITY, CODES[:100])
        assert (tmp_path / "quality.tif").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_style_names_the_classes_and_hides_true_negatives(tmp_path):
    write_style(tmp_path / "quality.qml", QUALITY)
    entries = ElementTree.parse(tmp_path / "quality.qml").getroot().findall("pipe/rasterrenderer/colorPalette/paletteEntry")
    assert [entry.get("value") for entry in entries] == ["0", "1", "2", "3"]
    assert [entry.get("alpha") for entry in entries] == ["255", "255", "0", "255"]
    assert entries[1].get("color") == "#d55e00" and entries[3].get("label") == "FN false negative"


def test_style_of_a_refined_mask_has_two_classes(tmp_path):
    write_style(tmp_path / "refined.qml", REFINED)
    renderer = ElementTree.parse(tmp_path / "refined.qml").getroot().find("pipe/rasterrenderer")
    assert renderer.get("type") == "paletted"
    entries = renderer.findall("colorPalette/paletteEntry")
    assert [(entry.get("value"), entry.get("label")) for entry in entries] == [("0", "background"), ("1", "object")]


def test_style_of_errors_is_a_ramp_over_probabilities(tmp_path):
    write_style(tmp_path / "error.qml", ERROR)
    renderer = ElementTree.parse(tmp_path / "error.qml").getroot().find("pipe/rasterrenderer")
    shader = renderer.find("rastershader/colorrampshader")
    assert renderer.get("type") == "singlebandpseudocolor" and shader.get("colorRampType") == "INTERPOLATED"
    assert {renderer.get("classificationMin"), shader.get("minimumValue")} == {"0"}
    assert {renderer.get("classificationMax"), shader.get("maximumValue")} == {"1"}
    entries = shader.findall("item")
    assert [float(entry.get("value")) for entry in entries] == [0, 0.25, 0.5, 0.75, 1] and entries[0].get("alpha") == "0"


class TestAtomicPath:
    def test_appears_when_complete(self, tmp_path):
        target = tmp_path / "deep" / "er" / "a.csv"
        with atomic_path(target) as beside:
            beside.write_text("half")
            assert not target.exists() and beside.parent == target.parent and beside.suffix == ".csv" and beside.name[0] == "."
        assert target.read_text() == "half"
        assert [path.name for path in target.parent.iterdir()] == ["a.csv"]

    @pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, FileNotFoundError])
    def test_a_fault_leaves_the_old_file_and_nothing_else(self, tmp_path, fault):
        target = tmp_path / "a.csv"
        target.write_text("old")
        with pytest.raises(fault), atomic_path(target) as beside:
            beside.write_text("half")
            raise fault
        assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]

    def test_others_may_read_it(self, tmp_path):
        (tmp_path / "plain").write_text("")
        with atomic_path(tmp_path / "a.csv"):
            pass
        assert (tmp_path / "a.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_unwritable_folder(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(RequestError, match=r"file is a file; give a folder\."):
            with atomic_path(tmp_path / "file" / "out" / "a.csv"):
                pytest.fail("the block must not run")

    def test_full_disk(self, tmp_path):
        with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
            with atomic_path(tmp_path / "a.csv"):
                raise OSError(28, "No space left on device")
        assert not list(tmp_path.iterdir())

    def test_a_folder_in_the_way(self, tmp_path):
        (tmp_path / "a.csv").mkdir()
        with pytest.raises(RequestError, match="cannot be written"), atomic_path(tmp_path / "a.csv"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
