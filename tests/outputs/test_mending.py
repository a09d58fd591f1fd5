"""A layer mended by what was found in it."""

import json
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine

from segassess.cli import mend as tool
from segassess.errors import RequestError
from segassess.outputs.judged_folder import judged_folders
from segassess.outputs.mending import osm_change
from segassess.raster.vectors import read_attributes

# 0.5 m pixels of EPSG:32645.
CORNER, SIDE = (300_000.0, 3_050_000.0), 0.5


def box(left: float, top: float, width: float = 10, height: float = 10) -> shapely.Polygon:
    """A rectangle given in pixels, in the CRS."""
    x, y = CORNER[0] + SIDE * left, CORNER[1] - SIDE * top
    return shapely.box(x, y - SIDE * height, x + SIDE * width, y)


def write(path, outlines, crs="EPSG:32645", **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    geopandas.GeoDataFrame(columns, geometry=outlines, crs=crs).to_file(path, layer=path.stem)


@pytest.fixture
def judged(tmp_path):
    """A layer of four polygons in longitude and latitude, as judged with a fit: right, invented, shifted, and doubtful."""
    places = [box(10, 10), box(40, 10), box(70, 10), box(10, 50)]
    layer = geopandas.GeoDataFrame(
        {"name": ["a", "b ✓", "<c>", None], "levels": [1, 2, 3, 4]}, geometry=places, crs="EPSG:32645"
    ).to_crs("EPSG:4326")
    layer.to_file(tmp_path / "layer.gpkg", layer="buildings")
    out = tmp_path / "out" / "scene"
    write(
        out / "polygons.gpkg",
        [places[index] for index in (1, 2, 3, 0)],
        polygon=[1, 2, 3, 4],
        feature=[2, 3, 4, 1],
        verdict=["wrong", "shifted", "wrong", "right"],
        mean_error=[0.9, 0.5, 0.55, 0.1],
        shift_x_px=[np.nan, 4.0, np.nan, 0.0],
        shift_y_px=[np.nan, -2.0, np.nan, 0.0],
    )
    write(out / "missed.gpkg", [box(50, 50), box(80, 80)], missed=[1, 2], object=[7, 9], probability=[0.8, 0.4])
    options = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:32645", "width": 100, "height": 100}
    transform = Affine(SIDE, 0, CORNER[0], 0, -SIDE, CORNER[1])
    with rasterio.open(out / "quality.tif", "w", transform=transform, **options) as file:
        file.write(np.zeros((1, 100, 100), np.uint8))
    (out / "tiles.csv").write_text("tile\n")
    (tmp_path / "scene.tif").write_bytes((out / "quality.tif").read_bytes())
    (tmp_path / "out" / "scores.csv").write_text("name,source\nscene,layer\n")
    config = {"image": str(tmp_path / "scene.tif"), "mask": str(tmp_path / "layer.gpkg")}
    (tmp_path / "out" / "run.json").write_text(json.dumps({"config": config}))
    return tmp_path / "out"


def read(folder):
    frames = [pyogrio.read_dataframe(folder / "mended" / f"{name}.gpkg") for name in ("mended", "changes")]
    return [frame.to_crs("EPSG:32645") for frame in frames]


def alike(first, second) -> bool:
    return first.symmetric_difference(second).area < 0.01 * second.area


def test_invented_polygons_go_shifted_ones_move_and_missed_ones_come(judged, capsys):
    tool.main([f"input={judged}"])
    assert "4 polygons: 1 dropped, 1 moved, 1 added" in capsys.readouterr().out
    mended, changes = read(judged)
    assert mended["name"].tolist()[:2] == ["a", "<c>"] and mended["levels"].tolist()[:3] == [1, 3, 4]
    assert mended["segassess_change"].tolist() == ["kept", "moved", "kept", "added"]
    assert mended["segassess_p"].tolist()[1::2] == [0.5, 0.8]
    for found, expected in zip(mended.geometry, (box(10, 10), box(74, 8), box(10, 50), box(50, 50)), strict=True):
        assert alike(found, expected)
    # What it was, to undo by.
    assert changes["segassess_change"].tolist() == ["dropped", "moved", "added"]
    assert changes["segassess_feature"].tolist()[:2] == [2, 3] and changes["name"].tolist()[:2] == ["b ✓", "<c>"]
    assert alike(changes.geometry[0], box(40, 10)) and alike(changes.geometry[1], box(70, 10))


def test_columns_keep_their_types_and_every_digit(judged, tmp_path):
    before = geopandas.read_file(tmp_path / "layer.gpkg")
    before["osm_id"] = pandas.array([2**53 + 1, 2, None, 2**53 + 3], "Int64")
    before["small"] = np.array([1, 2, 3, 4], np.int32)
    before["listed"] = pandas.array([True, None, False, True], "boolean")
    before.to_file(tmp_path / "layer.gpkg", layer="buildings")
    tool.main([f"input={judged}"])
    wanted = {"osm_id": "int64", "small": "int32", "levels": before["levels"].dtype.name, "listed": "bool"}
    for name in ("mended", "changes"):
        about = pyogrio.read_info(judged / "mended" / f"{name}.gpkg")
        types = dict(zip(about["fields"], about["dtypes"], strict=True))
        assert {column: types[column] for column in wanted} == wanted
    found = read_attributes(
        str(judged / "mended" / "mended.gpkg"), pyogrio.read_dataframe(judged / "mended" / "mended.gpkg", fid_as_index=True).index
    )
    # The second went, and one without attributes came.
    assert found["osm_id"].tolist() == [2**53 + 1, None, 2**53 + 3, None]
    assert found["small"].tolist() == [1, 3, 4, None] and found["listed"].tolist() == [True, False, True, None]


def test_decisions_count_more_than_probabilities(judged, tmp_path):
    (tmp_path / "said.csv").write_text("feature,object,accept\n2,,no\n4,,yes\n3,,no\n,9,yes\n,7,no\n1,,\n")
    tool.main([f"input={judged}", f"decisions={tmp_path / 'said.csv'}"])
    mended, changes = read(judged)
    assert mended["levels"].tolist()[:3] == [1, 2, 3] and changes["segassess_change"].tolist() == ["dropped", "added"]
    assert alike(mended.geometry[3], box(80, 80))
    tool.main([f"input={judged}", "drop=1", "add=1", "move=false"])
    mended, changes = read(judged)
    assert len(changes) == 0 and mended["segassess_change"].tolist() == ["kept"] * 4


def test_what_is_partly_wrong_is_dropped_only_if_somebody_says_so(judged, tmp_path):
    polygons = geopandas.read_file(judged / "scene" / "polygons.gpkg", layer="polygons")
    polygons["verdict"] = ["wrong", "shifted", "partly wrong", "right"]
    polygons.to_file(judged / "scene" / "polygons.gpkg", layer="polygons")
    for said, left in (("yes", [1, 2, 3, 4]), ("drop", [1, 2, 3])):
        (tmp_path / "said.csv").write_text(f"feature,accept\n4,{said}\n2,no\n")
        tool.main([f"input={judged}", f"decisions={tmp_path / 'said.csv'}", "add=1", "move=false"])
        mended, _ = read(judged)
        assert mended["segassess_feature"].tolist() == left


def test_crumbs_of_an_added_outline_are_left_out(judged):
    whole = shapely.union_all([box(50, 50), box(70, 50, 1, 1)])
    write(judged / "scene" / "missed.gpkg", [whole], missed=[1], object=[7], probability=[0.8])
    tool.main([f"input={judged}"])
    assert alike(read(judged)[0].geometry.iloc[-1], box(50, 50))


def test_a_mended_layer_can_be_mended_again(judged, tmp_path):
    tool.main([f"input={judged}", f"output={tmp_path / 'first'}"])
    tool.main([f"input={judged}", "drop=1", f"layer={tmp_path / 'layer.gpkg'}|layername=buildings"])
    assert list(read(judged)[0].columns) == ["name", "levels", "segassess_change", "segassess_p", "segassess_feature", "geometry"]


def test_without_a_fit_missed_objects_have_the_shape_of_the_quality_map(judged):
    (judged / "scene" / "missed.gpkg").unlink()
    outlines = [box(30, 30), box(60, 60)]
    write(judged / "scene" / "objects.gpkg", outlines, object=[1, 2], verdict=["right", "missed"], mean_error=[0.1, 0.75])
    tool.main([f"input={judged}"])
    mended, _ = read(judged)
    assert mended["segassess_change"].tolist()[-1] == "added" and alike(mended.geometry.iloc[-1], box(60, 60))


def test_the_osm_change_creates_closed_ways_and_multipolygons():
    hole = shapely.Polygon([(85, 27), (86, 27), (86, 28), (85, 28)], [[(85.2, 27.2), (85.4, 27.2), (85.4, 27.4)]])
    root = ElementTree.fromstring(osm_change([shapely.box(85, 27, 85.1, 27.1), hole]))
    (create,) = root
    nodes = {node.get("id"): node for node in create.iter("node")}
    ids = [each.get("id") for each in create]
    assert len(ids) == len(set(ids)) and all(int(each) < 0 for each in ids)
    ways = list(create.iter("way"))
    for way in ways:
        corners = [nd.get("ref") for nd in way.iter("nd")]
        assert corners[0] == corners[-1] and len(corners) >= 4 and set(corners) <= set(nodes)
    (relation,) = create.iter("relation")
    assert [member.get("role") for member in relation.iter("member")] == ["outer", "inner"]
    assert next(ways[0].iter("tag")).get("v") == "yes" and not list(ways[1].iter("tag"))
    assert nodes[next(ways[0].iter("nd")).get("ref")].get("lat").startswith("27.")


def test_a_raster_cannot_be_mended(judged):
    with pytest.raises(RequestError, match=r"scene\.tif is a raster; only a layer of polygons"):
        tool.main([f"input={judged}", f"layer={judged.parent / 'scene.tif'}"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("else", r"^No judged mask has name=else; there are: scene, mask of layer\.$"), (None, "^2 masks were judged; choose one")],
)
def test_which_mask_is_meant_is_asked(judged, name, words):
    found = judged_folders(judged)
    with pytest.raises(RequestError, match=words):
        tool.chosen_folder(found * (1 if name else 2), name, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feature,accept\n2,perhaps\n", "yes or no"),
        ("object,accept\n7,drop\n", "drop for a feature"),
        ("id,accept\nabc,yes\n", r"verdicts\.csv"),
        ("feature,object,accept\n2,3,yes\n", "one feature or one object"),
        ("feature,accept\n77,yes\n", "feature 77"),
        ("object,accept\n77,yes\n", "object 77"),
        ("feature\n1\n", "accept"),
    ],
)
def test_wrong_decisions_are_one_sentence(judged, tmp_path, text, words):
    (tmp_path / "said.csv").write_text(text)
    with pytest.raises(RequestError, match=words):
        tool.main([f"input={judged}", f"decisions={tmp_path / 'said.csv'}"])
    assert not (judged / "mended").exists()


def test_wrong_requests(judged, tmp_path):
    with pytest.raises(RequestError, match="No judged mask has name=other"):
        tool.main([f"input={judged}", "name=other"])
    (judged / "scene" / "polygons.gpkg").unlink()
    with pytest.raises(RequestError, match=r"no polygons\.gpkg"):
        tool.main([f"input={judged}"])
