import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.transform import from_origin

from segassess.findings.bands import JudgedRows
from segassess.findings.error_regions import ERROR_COLUMNS
from segassess.findings.findings import gather_findings
from segassess.findings.object_scores import OBJECT_COLUMNS
from segassess.outputs.layers import write_layer
from segassess.quality import FN, FP, TN, TP
from segassess.raster import Georeference

PLACE = Georeference(CRS.from_epsg(32736), from_origin(500_000, 9_300_000, 0.5, 0.5))


@pytest.fixture(scope="module")
def findings():
    """A false object of 8 x 5 pixels and a missed one of 6 x 6."""
    mask = np.zeros((40, 50), bool)
    mask[5:13, 10:15] = True
    codes = np.where(mask, FP, TN).astype(np.uint8)
    codes[30:36, 20:26] = FN
    error = np.where(codes == FP, 0.75, np.where(codes == FN, 0.5, 0.0))
    rows = JudgedRows(codes, mask, np.where(codes == TP, 1 - error, 0), np.where(mask, 0, error), error)
    return gather_findings([rows], rim_px=0, pixel_area_m2=0.25)


def read(path):
    about, _, geometry, values = pyogrio.raw.read(path, layer=path.stem if path.suffix == ".gpkg" else None)
    return about["crs"], shapely.from_wkb(geometry), dict(zip(about["fields"], values, strict=True))


def test_errors_and_objects_in_the_crs_of_the_image(findings, tmp_path):
    write_layer(tmp_path / "errors.gpkg", findings.errors, PLACE)
    crs, shapes, values = read(tmp_path / "errors.gpkg")
    assert crs == "EPSG:32736" and tuple(values) == ERROR_COLUMNS
    assert values["quality"].tolist() == ["FP", "FN"] and values["form"].tolist() == ["area", "area"]
    assert values["error"].tolist() == [1, 2] and values["object"].tolist() == [1, 0]
    assert shapely.area(shapes).tolist() == values["area_m2"].tolist() == [10, 9]
    assert shapes[0].bounds == (500_005, 9_299_993.5, 500_007.5, 9_299_997.5)
    write_layer(tmp_path / "objects.gpkg", findings.objects, PLACE)
    _, shapes, values = read(tmp_path / "objects.gpkg")
    assert tuple(values) == OBJECT_COLUMNS and values["verdict"].tolist() == ["wrong", "missed"]
    assert np.isnan(values["estimated_iou"]).tolist() == [False, True]
    assert pyogrio.read_info(tmp_path / "errors.gpkg")["layer_name"] == "errors"


def test_geojson_is_in_longitude_and_latitude(findings, tmp_path):
    write_layer(tmp_path / "errors.geojson", findings.errors, PLACE)
    crs, shapes, _ = read(tmp_path / "errors.geojson")
    assert crs == "EPSG:4326" and shapes[0].centroid.x == pytest.approx(33.0001, abs=1e-4)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
@pytest.mark.filterwarnings("error")
def test_pixels_of_an_image_without_georeference(findings, tmp_path, suffix):
    write_layer(tmp_path / f"errors.{suffix}", findings.errors, None)
    _, shapes, _ = read(tmp_path / f"errors.{suffix}")
    assert shapes[0].bounds == (10, 5, 15, 13)


def test_the_same_findings_are_the_same_file(findings, tmp_path):
    write_layer(tmp_path / "a" / "errors.gpkg", findings.errors, PLACE)
    write_layer(tmp_path / "b" / "errors.gpkg", findings.errors, PLACE)
    assert (tmp_path / "a" / "errors.gpkg").read_bytes() == (tmp_path / "b" / "errors.gpkg").read_bytes()


def test_nothing_found(tmp_path):
    write_layer(tmp_path / "errors.gpkg", gather_findings([]).errors, PLACE)
    assert pyogrio.read_info(tmp_path / "errors.gpkg")["features"] == 0


def test_simpler_outlines(tmp_path):
    codes = np.triu(np.full((40, 40), FN, np.uint8)) + np.tril(np.full((40, 40), TN, np.uint8), -1)
    error = (codes == FN).astype(float)
    found = gather_findings([JudgedRows(codes, codes == TP, error * 0, error, error)], rim_px=0)
    write_layer(tmp_path / "exact.gpkg", found.errors, None)
    write_layer(tmp_path / "simple.gpkg", found.errors, None, simplify_px=1.0)
    exact, simple = (read(tmp_path / f"{name}.gpkg")[1][0] for name in ("exact", "simple"))
    assert shapely.get_num_coordinates(simple) < 0.2 * shapely.get_num_coordinates(exact)
    assert exact.area == found.errors.columns["area_px"][0] and simple.area == pytest.approx(exact.area, rel=0.05)


@pytest.mark.parametrize("own", [None, "2001-02-03T04:05:06.000Z"])
def test_what_others_write_later_has_its_own_date(findings, tmp_path, own):
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": own})
    try:
        write_layer(tmp_path / "errors.gpkg", findings.errors, PLACE)
        assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") == own
        theirs = tmp_path / "theirs.gpkg"
        square = shapely.to_wkb(np.array([shapely.box(0, 0, 1, 1)]))
        pyogrio.raw.write(theirs, square, [], [], geometry_type="Polygon", crs="EPSG:32736")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    day = f"{datetime.now(UTC):%Y-%m-%d}" if own is None else own[:10]
    assert [date_of(tmp_path / name) for name in ("errors.gpkg", "theirs.gpkg")] == ["1970-01-01", day]


def date_of(path):
    """The day that a GeoPackage says it was written at."""
    with closing(sqlite3.connect(path)) as database:
        ((date,),) = database.execute("select distinct last_change from gpkg_contents")
    return date[:10]
