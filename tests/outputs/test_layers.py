import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import geopandas
import numpy as np
import pyarrow.parquet
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.transform import from_origin

from segassess.findings.bands import JudgedRows
from segassess.findings.error_regions import ERROR_COLUMNS
from segassess.findings.findings import gather_findings
from segassess.findings.object_scores import OBJECT_COLUMNS
from segassess.findings.table import FindingsTable
from segassess.outputs.layers import FORMATS, write_layer, write_layers
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


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb"])
@pytest.mark.filterwarnings("error")
def test_pixels_of_an_image_without_georeference(findings, tmp_path, suffix):
    write_layer(tmp_path / f"errors.{suffix}", findings.errors, None)
    _, shapes, values = read(tmp_path / f"errors.{suffix}")
    # FlatGeobuf sorts by place.
    assert shapes[values["error"] == 1][0].bounds == (10, 5, 15, 13)


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


# Texts that a spreadsheet or a page must not act on, and of which a file must lose nothing.
HOSTILE = np.array(["=1+1", "<script>alert('1')</script>", "\u202eשלום مرحبا", "\U0001f3e0, \"a\";\n'b'", ""], object)


@pytest.fixture
def hostile():
    """A layer with such attributes, and with absent ones of every kind."""
    absent = np.arange(5) == 3
    columns = {
        "Naïve <b>": HOSTILE,
        "levels": np.ma.array([1, 2, 3, 4, 5], mask=absent),
        "height": np.ma.array([1.5, np.nan, 3, 4, 5], mask=absent),
        "use": np.ma.array(HOSTILE, mask=absent),
        "built": np.ma.array(["2001-02-03"] * 5, "datetime64[D]", mask=absent),
        "kept": np.arange(5) % 2 == 0,
    }
    outlines = [shapely.box(10 * at, 5, 10 * at + 8, 13) for at in range(4)]
    both = shapely.MultiPolygon([shapely.box(0, 50, 5, 55), shapely.box(10, 50, 15, 55)])
    return FindingsTable(columns, np.array([*outlines, both], object))


@pytest.mark.parametrize("suffix", [each for each in FORMATS if each != "pmtiles"])
def test_no_format_loses_attributes(hostile, tmp_path, suffix):
    write_layers(tmp_path, "polygons", hostile, PLACE, ["gpkg", suffix])
    expected = pyogrio.read_dataframe(tmp_path / "polygons.gpkg")
    path = tmp_path / f"polygons.{suffix}"
    found = geopandas.read_parquet(path) if suffix == "parquet" else pyogrio.read_dataframe(path)
    # FlatGeobuf sorts by place.
    found = found.sort_values("levels", na_position="last", ignore_index=True).to_crs(expected.crs)
    expected = expected.sort_values("levels", na_position="last", ignore_index=True)
    assert list(found.columns) == list(expected.columns) and len(found) == 5
    for name in hostile.columns:
        assert found[name].isna().tolist() == expected[name].isna().tolist()
        values = [frame[name].dropna().tolist() for frame in (found, expected)]
        assert values[0] == values[1] if name != "built" else list(map(str, values[0])) == list(map(str, values[1]))
    # GeoJSON has seven digits of a degree.
    assert (found.geometry.hausdorff_distance(expected.geometry) < 0.02).all()


def test_geoparquet_says_what_the_standard_asks_for(findings, tmp_path):
    # https://geoparquet.org/releases/v1.1.0
    write_layer(tmp_path / "errors.parquet", findings.errors, PLACE)
    stored = pyarrow.parquet.read_schema(tmp_path / "errors.parquet")
    geo = json.loads(stored.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB" and set(column["geometry_types"]) <= {"Polygon", "MultiPolygon"}
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32736} and len(column["bbox"]) == 4
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"] and "bbox" in stored.names
    assert stored.names[: len(ERROR_COLUMNS)] == list(ERROR_COLUMNS)
    write_layer(tmp_path / "pixels.parquet", findings.errors, None)
    about = json.loads(pyarrow.parquet.read_schema(tmp_path / "pixels.parquet").metadata[b"geo"])
    assert about["columns"]["geometry"]["crs"] is None


def test_vector_tiles_lie_on_the_earth_or_are_left_out(hostile, tmp_path):
    write_layers(tmp_path, "polygons", hostile, PLACE, FORMATS)
    info = pyogrio.read_info(tmp_path / "polygons.pmtiles", layer="polygons")
    assert info["driver"] == "PMTiles" and info["crs"] == "EPSG:3857"
    tiles = pyogrio.read_dataframe(tmp_path / "polygons.pmtiles")
    assert set(tiles["Naïve <b>"]) == set(HOSTILE)
    expected = pyogrio.read_dataframe(tmp_path / "polygons.gpkg").to_crs("EPSG:3857")
    # A unit of a tile of the highest level is 7 cm wide.
    assert np.abs(tiles.total_bounds - expected.total_bounds).max() < 0.2
    write_layers(tmp_path / "pixels", "polygons", hostile, None, FORMATS)
    assert {path.suffix[1:] for path in (tmp_path / "pixels").iterdir()} == set(FORMATS) - {"pmtiles"}


def test_nothing_found_is_a_layer_without_features_and_no_vector_tiles(tmp_path):
    write_layers(tmp_path, "errors", gather_findings([]).errors, PLACE, FORMATS)
    assert {path.suffix[1:] for path in tmp_path.iterdir()} == set(FORMATS) - {"pmtiles"}
    for path in tmp_path.iterdir():
        assert len(geopandas.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path)) == 0
