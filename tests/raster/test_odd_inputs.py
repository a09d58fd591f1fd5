"""Inputs that are seldom and real: odd geometries, the antimeridian, turned pictures, far projections, left-over files."""

import json
import struct
import unicodedata

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import from_origin

from segassess.errors import InputError
from segassess.raster import Georeference, Grid, open_image, open_mask, read_image, read_mask
from segassess.raster.pairs import find_pairs

UTM = "EPSG:32736"
GRID = from_origin(500_000, 9_300_000, 0.5, 0.5)
SQUARE = shapely.box(500_002.5, 9_299_996.5, 500_005.5, 9_299_998.5)  # rows 3 to 6, columns 5 to 10
INSIDE = np.s_[3:7, 5:11]


@pytest.fixture
def grid():
    return Grid(12, 20, Georeference(CRS.from_string(UTM), GRID))


def layer(path, shapes, crs=UTM, **options):
    geometry = np.array(
        [shape if shape is None or isinstance(shape, bytes) else shapely.to_wkb(shape) for shape in shapes], object
    )
    options = {"field_data": [], "fields": [], **options}
    pyogrio.raw.write(path, geometry=geometry, geometry_type="Unknown", crs=crs, **options)
    return path


def geojson(path, geometries, properties=None, crs="urn:ogc:def:crs:EPSG::32736"):
    features = [
        {"type": "Feature", "properties": {} if properties is None else properties[index], "geometry": geometry}
        for index, geometry in enumerate(geometries)
    ]
    where = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    path.write_text(json.dumps({"type": "FeatureCollection", **where, "features": features}))
    return path


def tif(path, data, crs=UTM, transform=GRID, **options):
    data = np.atleast_3d(data.T).T
    size = {"height": data.shape[1], "width": data.shape[2], "count": len(data), "dtype": data.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **size, **options) as file:
        file.write(data)
    return path


def burnt(path, grid):
    with open_mask(path, grid) as mask:
        return mask.read()[0], " ".join(mask.notes)


def is_the_square(pixels):
    return pixels[INSIDE].all() and pixels.sum() == 24


def refused(path, grid):
    with pytest.raises(InputError) as error, open_mask(path, grid):
        pytest.fail("it must not open")
    assert "\n" not in str(error.value) and str(error.value).endswith((".", ".)"))
    return str(error.value)


class TestGeometries:
    def surface(self, faces, code=1015, face=1003):
        def part(ring):
            return struct.pack("<BIII", 1, face, 1, len(ring)) + b"".join(struct.pack("<3d", *point) for point in ring)

        return struct.pack("<BII", 1, code, len(faces)) + b"".join(map(part, faces))

    def test_a_building_in_3d_is_its_outline(self, tmp_path, grid):
        west, south, east, north = SQUARE.bounds
        flat = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        floor, roof = ([(x, y, z) for x, y in flat] for z in (0, 5))
        wall = [(west, south, 0), (east, south, 0), (east, south, 5), (west, south, 5), (west, south, 0)]
        pixels, notes = burnt(layer(tmp_path / "a.gpkg", [self.surface([floor, wall, roof])]), grid)
        assert is_the_square(pixels) and "1 of 1 features are 3D surfaces" in notes

    def test_triangles(self, tmp_path, grid):
        west, south, east, north = SQUARE.bounds
        corners = [(west, south, 1), (east, south, 1), (east, north, 1), (west, north, 1)]
        faces = [[corners[0], corners[1], corners[2], corners[0]], [corners[0], corners[2], corners[3], corners[0]]]
        pixels, _ = burnt(layer(tmp_path / "a.gpkg", [self.surface(faces, 1016, 1017)]), grid)
        assert is_the_square(pixels)

    def test_what_has_no_coordinates_is_counted(self, tmp_path, grid):
        ring = [list(point) for point in SQUARE.exterior.coords]
        nulls = [[None, None], *ring[1:-1], [None, None]]
        polygons = [{"type": "Polygon", "coordinates": [each]} for each in (ring, nulls, [], ring[:2])]
        pixels, notes = burnt(geojson(tmp_path / "a.geojson", [*polygons, None]), grid)
        assert is_the_square(pixels) and "3 of 5 features have no readable geometry" in notes
        not_a_number = shapely.transform(SQUARE, lambda points: np.where(np.arange(5)[:, None] == 1, np.nan, points))
        pixels, notes = burnt(layer(tmp_path / "b.gpkg", [SQUARE, not_a_number]), grid)
        assert is_the_square(pixels) and "1 of 2 features have non-finite" in notes

    def test_all_rings_open_or_none_readable(self, tmp_path, grid):
        ring = [list(point) for point in SQUARE.exterior.coords][:-1]
        pixels, notes = burnt(geojson(tmp_path / "a.geojson", [{"type": "Polygon", "coordinates": [ring]}]), grid)
        assert is_the_square(pixels) and "1 of 1 features had open rings" in notes
        refused(geojson(tmp_path / "b.geojson", [{"type": "Polygon", "coordinates": []}]), grid)

    def test_collections_in_collections(self, tmp_path, grid):
        inner = shapely.GeometryCollection([shapely.MultiPolygon([SQUARE]), shapely.Point(0, 0)])
        pixels, _ = burnt(layer(tmp_path / "a.gpkg", [shapely.GeometryCollection([inner, inner])]), grid)
        assert is_the_square(pixels), "parts that overlap must not cancel out"

    def test_curves(self, tmp_path, grid):
        ring = [(500_002, 9_299_997), (500_004, 9_299_999), (500_006, 9_299_997), (500_004, 9_299_995), (500_002, 9_299_997)]
        arc = struct.pack("<BII", 1, 8, 5) + b"".join(struct.pack("<2d", *point) for point in ring)
        pixels, _ = burnt(layer(tmp_path / "a.gpkg", [struct.pack("<BII", 1, 10, 1) + arc]), grid)
        assert abs(pixels.sum() - np.pi * 16) < 4

    def test_ids_beyond_floats(self, tmp_path, grid):
        large = [2**53 + 1, None, 2**62 + 1]
        shape = shapely.geometry.mapping(SQUARE)
        path = geojson(tmp_path / "a.geojson", [shape] * 3, [{"osm": value} for value in large])
        content = json.loads(path.read_text())
        for feature, number in zip(content["features"], (2**31 + 5, 2**53 + 1, 2**53 + 2), strict=True):
            feature["id"] = number
        path.write_text(json.dumps(content))
        with open_mask(path, grid) as mask:
            assert mask.features.tolist() == [2**31 + 5, 2**53 + 1, 2**53 + 2]
            assert mask.attributes(mask.features[::-1])["osm"].tolist() == large[::-1]

    def test_a_layer_without_geometries_is_no_layer(self, tmp_path, grid):
        path = layer(tmp_path / "a.gpkg", [SQUARE], layer="roofs")
        styles = {"field_data": [np.array(["x"], object)], "fields": ["style"], "layer": "layer_styles"}
        pyogrio.raw.write(path, geometry=None, geometry_type=None, crs=None, append=True, **styles)
        assert len(pyogrio.list_layers(path)) == 2
        with open_mask(path, grid) as mask:
            assert is_the_square(mask.read()[0]) and mask.attributes(mask.features) == {}


class TestPlaces:
    def test_a_layer_beside_the_image(self, tmp_path, grid):
        message = refused(layer(tmp_path / "a.gpkg", [shapely.transform(SQUARE, lambda points: points + 1000)]), grid)
        assert "501002.5" in message and "500000" in message and "swapped" not in message

    def test_a_layer_around_an_empty_image_is_no_mistake(self, tmp_path, grid):
        around = [shapely.transform(SQUARE, lambda points, by=by: points + by) for by in (-1000, 1000)]
        pixels, notes = burnt(layer(tmp_path / "a.gpkg", around), grid)
        assert not pixels.any() and "0 of 2 polygons" in notes

    def test_metres_of_another_crs_swapped(self, tmp_path, grid):
        assert "swapped" in refused(layer(tmp_path / "a.gpkg", [shapely.transform(SQUARE, lambda points: points[:, ::-1])]), grid)

    def test_pixels_as_geojson_over_a_picture(self, tmp_path):
        pixels, _ = burnt(
            geojson(tmp_path / "a.geojson", [shapely.geometry.mapping(shapely.box(5, 3, 11, 7))], crs=None), Grid(12, 20)
        )
        assert is_the_square(pixels)
        refused(geojson(tmp_path / "b.geojson", [shapely.geometry.mapping(shapely.box(5, 3, 11, 7))]), Grid(12, 20))
        refused(layer(tmp_path / "c.fgb", [shapely.box(5, 3, 11, 7)], "EPSG:4326"), Grid(12, 20))

    @pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
    @pytest.mark.parametrize("west", [179.9, -180.1], ids=["east of the line", "west of it"])
    @pytest.mark.parametrize("form", ["from one end to the other", "beyond 180", "cut in two", "beyond -180"])
    def test_the_antimeridian(self, tmp_path, crs, west, form):
        scale = 1 if crs == "EPSG:4326" else 20037508.342789244 / 180
        grid = Grid(
            10, 20, Georeference(CRS.from_string(crs), from_origin(west * scale, 0.05 * scale, 0.01 * scale, 0.01 * scale))
        )
        low, high = -0.02, 0.02
        shape = {
            "from one end to the other": shapely.Polygon([(179.95, low), (-179.95, low), (-179.95, high), (179.95, high)]),
            "beyond 180": shapely.box(179.95, low, 180.05, high),
            "cut in two": shapely.MultiPolygon([shapely.box(179.95, low, 180, high), shapely.box(-180, low, -179.95, high)]),
            "beyond -180": shapely.box(-180.05, low, -179.95, high),
        }[form]
        pixels, _ = burnt(layer(tmp_path / "a.gpkg", [shape], "EPSG:4326"), grid)
        assert pixels[3:7, 5:15].all() and pixels.sum() == 40
        elsewhere = Grid(
            10, 20, Georeference(CRS.from_string(crs), from_origin(10 * scale, 0.05 * scale, 0.01 * scale, 0.01 * scale))
        )
        refused(tmp_path / "a.gpkg", elsewhere)

    @pytest.mark.parametrize("projection", ["ortho", "gnom", "nsper +h=3000000", "geos +h=35785831"])
    def test_a_mask_that_does_not_see_the_image(self, tmp_path, grid, projection):
        far = {"crs": f"+proj={projection} +lon_0=-140", "transform": from_origin(-1000, 1000, 10, 10)}
        assert "mask.tif" in refused(tif(tmp_path / "mask.tif", np.ones((200, 200), np.uint8), **far), grid)

    def test_a_mask_that_sees_a_part_of_the_image(self, tmp_path):
        grid = Grid(40, 80, Georeference(CRS.from_epsg(4326), from_origin(60, 20, 1, 1)))
        half = {"crs": "+proj=ortho", "transform": from_origin(-6_500_000, 6_500_000, 100_000, 100_000)}
        with open_mask(tif(tmp_path / "mask.tif", np.ones((130, 130), np.uint8), **half), grid) as mask:
            pixels, valid = mask.read()
        assert valid[:, :29].all() and not valid[:, 31:].any() and (pixels == valid).all()

    def test_classes_beyond_float32_on_another_grid(self, tmp_path, grid):
        data = np.full((12, 20), 2**24, np.int32)
        data[INSIDE] = 2**24 + 1
        path = tif(tmp_path / "a.tif", data, transform=from_origin(500_001, 9_300_000, 0.5, 0.5))
        with open_mask(path, grid, label=2**24 + 1) as mask:
            assert mask.read()[0].sum() == 24


class TestPictures:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
    def test_turned_as_a_viewer_does(self, tmp_path, orientation, suffix):
        stored = Image.fromarray(
            np.kron(np.random.default_rng(0).integers(0, 2, (3, 5)) * 255, np.ones((16, 16))).astype(np.uint8)
        )
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"a.{suffix}"
        stored.convert("RGB").save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {"quality": 95}))
        how = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)  # as PIL.ImageOps.exif_transpose has it
        shown = np.asarray(stored if how is None else stored.transpose(Image.Transpose(how))) > 127
        with open_image(path) as image:
            pixels, valid = image.read()
            np.testing.assert_array_equal(pixels[..., 0] > 0.5, shown)
            assert valid.all() and bool(image.notes) == (orientation > 1)
            part, _ = image.read(slice(5, 31), slice(9, 40))
            np.testing.assert_array_equal(part, pixels[5:31, 9:40])
        if suffix != "jpg":
            np.testing.assert_array_equal(read_mask(path).pixels, shown)

    def test_one_with_a_place_stays(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.zeros((12, 20), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
        (tmp_path / "a.wld").write_text("0.5\n0\n0\n-0.5\n500000.25\n9299999.75\n")
        assert read_image(tmp_path / "a.jpg").valid.shape == (12, 20)

    @pytest.mark.parametrize("moved", [0, 1])
    @pytest.mark.parametrize(("nodata", "unknown"), [(None, 0), (0, 0), (7, 24)])
    def test_min_is_white(self, tmp_path, grid, moved, nodata, unknown):
        stored = np.full((12, 20), 255, np.uint8)
        stored[INSIDE] = 0
        if nodata == 7:
            stored[INSIDE] = 7
            stored[0, 0] = 0
        place = from_origin(500_000 + 0.5 * moved, 9_300_000, 0.5, 0.5)
        path = tif(tmp_path / "a.tif", stored, photometric="miniswhite", transform=place, nodata=nodata)
        with open_mask(path, grid) as mask:
            pixels, valid = mask.read()
        if nodata is None:
            assert pixels.sum() == 24 and pixels[3:7, 5 + moved : 11 + moved].all()
        if nodata == 7:
            assert (~valid).sum() == unknown + 12 * moved and pixels.sum() == 1


class TestFound:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_results_are_no_images(self, tmp_path):
        square = np.eye(4, dtype=np.uint8)
        for folder in ("img", "msk", "img/out/a", "img/mine"):
            (tmp_path / folder).mkdir(parents=True)
        tif(tmp_path / "img/a.tif", square)
        tif(tmp_path / "msk/a.tif", square)
        tif(tmp_path / "img/mine/quality.tif", square)
        for name in ("quality", "error", "refined"):
            with rasterio.open(tif(tmp_path / f"img/out/a/{name}.tif", square), "r+") as file:
                file.update_tags(SEGASSESS_VERSION="1")
        (tmp_path / "img/out/a/panel.png").touch()
        (tmp_path / "img/out/a/errors.gpkg").touch()
        for pattern in ("img/**/*.tif", "img/**/*"):
            found = find_pairs(pattern, "msk")
            assert [pair.image for pair in found.pairs] == ["img/a.tif"]
            assert [failure.name for failure in found.failures] == ["quality"], "a file of the user's that is called so"
        assert find_pairs("msk/*.tif", "img/**/*").unmatched == ("img/mine/quality.tif",)
        assert find_pairs("img/a.tif", "img/out/a/refined.tif").pairs[0].masks == {"refined": "img/out/a/refined.tif"}

    def test_a_json_of_polygons_is_a_mask(self, tmp_path):
        for folder in ("i", "m"):
            (tmp_path / folder).mkdir()
        (tmp_path / "i/a.tif").touch()
        geojson(tmp_path / "m/a.json", [shapely.geometry.mapping(SQUARE)])
        assert find_pairs("i", "m").pairs[0].masks == {"m": "m/a.json"}
        outline = {"type": "Feature", "stac_version": "1.1.0", "geometry": shapely.geometry.mapping(SQUARE)}
        (tmp_path / "m/a.json").write_text(json.dumps(outline))
        (tmp_path / "m/a.geojson").touch()
        assert find_pairs("i", "m").pairs[0].masks == {"m": "m/a.geojson"}

    @pytest.mark.parametrize(
        "text",
        [
            "\ufeffimage;mask\n{};m/{}\n",
            " IMAGE , Mask \n{} , m/{}\n",
            'sep=;\n"Image"; "Mask"\n"{}"; "m/{}"\n',
            "image\tmask\n{}\tm/{}\n",
        ],
    )
    def test_a_csv_as_programs_write_it(self, tmp_path, text):
        (tmp_path / "m").mkdir()
        names = [unicodedata.normalize(form, "ü.tif") for form in ("NFC", "NFD")]
        (tmp_path / names[1]).touch()
        (tmp_path / "m" / names[0]).touch()
        (tmp_path / "pairs.csv").write_text(text.format(*names), encoding="utf-8")
        (pair,) = find_pairs("pairs.csv").pairs
        assert (pair.name, pair.image, pair.masks) == ("ü", names[1], {"mask": f"m/{names[0]}"})

    def test_accents_of_two_systems_are_one_name(self, tmp_path):
        for folder, form in (("i", "NFC"), ("m", "NFD")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / unicodedata.normalize(form, "é.tif")).touch()
        assert [pair.name for pair in find_pairs("i", "m").pairs] == ["é"]
        assert find_pairs("i/e\u0301.tif", "m/\u00e9.tif").pairs[0].image == "i/\u00e9.tif"
