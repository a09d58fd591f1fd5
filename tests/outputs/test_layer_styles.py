"""Styles that travel inside a GeoPackage, and what QGIS makes of them."""

import os
import shutil
import subprocess
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from PIL import Image

from segassess.findings.table import FindingsTable
from segassess.outputs.layer_styles import ALIASES, STYLES, qml
from segassess.outputs.layers import write_layer
from tests.conftest import ROOT


@pytest.mark.parametrize("name", STYLES)
def test_each_class_has_a_symbol_of_its_own(name):
    root = ElementTree.fromstring(qml(STYLES[name], ["verdict", "unknown"]))
    (renderer,) = root.iter("renderer-v2")
    categories, symbols = list(renderer.iter("category")), list(renderer.iter("symbol"))
    assert [each.get("symbol") for each in categories] == [each.get("name") for each in symbols]
    assert {each.get("value") for each in categories} == set(STYLES[name].classes)
    assert [(each.get("field"), each.get("name")) for each in root.iter("alias")] == [("verdict", ALIASES["verdict"])]


def objects(path):
    verdicts = np.array(["wrong", "right", "missed"], object)
    shapes = np.array([shapely.box(10 * index, 0, 10 * index + 8, 8) for index in range(3)], object)
    table = FindingsTable({"object": np.arange(3), "verdict": verdicts, "mean_error": np.array([0.9, 0.1, 0.8])}, shapes)
    write_layer(path, table, None)


def test_a_layer_carries_its_style_once_and_others_read_it_as_before(tmp_path):
    objects(tmp_path / "objects.gpkg")
    assert pyogrio.list_layers(tmp_path / "objects.gpkg").tolist() == [["objects", "MultiPolygon"], ["layer_styles", None]]
    styles = pyogrio.read_dataframe(tmp_path / "objects.gpkg", layer="layer_styles")
    assert styles["f_table_name"].tolist() == ["objects"] and styles["useAsDefault"].tolist() == [True]
    assert "<renderer-v2" in styles["styleQML"][0]
    assert len(geopandas.read_file(tmp_path / "objects.gpkg", layer="objects")) == 3
    write_layer(tmp_path / "other.gpkg", FindingsTable({}, np.array([shapely.box(0, 0, 1, 1)], object)), None)
    assert pyogrio.list_layers(tmp_path / "other.gpkg").tolist() == [["other", "MultiPolygon"]]


# Draws a layer as QGIS shows it when it is opened, and prints its categories and aliases.
_DRAW = """
import os
import sys
from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsVectorLayer
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
application = QgsApplication([], False)
application.initQgis()
layer = QgsVectorLayer(sys.argv[1], "layer", "ogr")
assert layer.isValid()
print(",".join(each.label() for each in layer.renderer().categories()))
print(layer.attributeAlias(layer.fields().indexOf("mean_error")))
settings = QgsMapSettings()
settings.setLayers([layer])
settings.setExtent(layer.extent())
settings.setOutputSize(QSize(280, 80))
settings.setBackgroundColor(QColor(255, 255, 255))
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
job.renderedImage().save(sys.argv[2])
# Leaving in the usual way crashes where objects are destroyed in another order than QGIS expects.
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
def test_qgis_opens_it_in_these_colours(tmp_path):
    python = "/usr/bin/python3"
    found = shutil.which("qgis") and subprocess.run([python, "-c", "import qgis.core"], capture_output=True).returncode == 0
    if not found:
        pytest.skip("there is no QGIS on this machine")
    objects(tmp_path / "objects.gpkg")
    picture = tmp_path / "objects.png"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    run = subprocess.run(
        [python, "-c", _DRAW, tmp_path / "objects.gpkg", picture], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    categories, alias = run.stdout.strip().splitlines()[-2:]
    assert categories.split(",")[:2] == ["wrong", "partly wrong"] and alias == ALIASES["mean_error"]
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    wrong, right, missed = (pixels[40, column] for column in (40, 140, 240))
    # Orange, green and blue, over white.
    assert wrong[0] > wrong[2] + 60 and missed[2] > missed[0] + 60 and right.min() > 200 and right[1] >= right[0]
