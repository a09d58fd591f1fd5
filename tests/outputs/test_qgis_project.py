"""A project of QGIS: what is in it, and what QGIS makes of it where it is installed."""

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from segassess.cli import qgis as tool
from tests.conftest import ROOT
from tests.outputs.review_queue.conftest import predicted  # noqa: F401  # a fixture


def project(predicted, path, *keys):  # noqa: F811
    tool.main([f"input={predicted}", f"output={path}", *keys])
    return ElementTree.parse(path).getroot()


def test_layers_lie_above_the_image_by_relative_paths(predicted):  # noqa: F811
    root = project(predicted, predicted / "project.qgs")
    tree = [(each.get("name"), each.get("checked")) for each in root.find("layer-tree-group").iter("layer-tree-layer")]
    one = ["errors", "objects", "quality", "error", "refined"]
    assert [name for name, _ in tree] == [*one, *one, "image image"]
    assert [name for name, state in tree[:5] if state == "Qt::Checked"] == ["errors", "quality"]
    for layer in root.find("projectlayers"):
        path = layer.find("datasource").text.partition("|")[0]
        assert path.startswith("./") and (predicted / path).is_file()
        styled = layer.find("renderer-v2") is not None or layer.find("pipe") is not None
        assert styled or layer.find("layername").text == "image image"
    listed = [each.find("id").text for each in root.find("projectlayers")]
    assert listed == [each.get("id") for each in root.find("layer-tree-group").iter("layer-tree-layer")]


@pytest.mark.parametrize(
    ("url", "path"),
    [("s3://bucket/image.tif", "/vsis3/bucket/image.tif"), ("https://host/image.tif", "/vsicurl/https://host/image.tif")],
)
def test_an_image_by_url_has_the_path_that_qgis_opens(url, path, predicted, tmp_path):  # noqa: F811
    root = project(predicted, tmp_path / "project.qgs", f"image={url}")
    (image,) = (each for each in root.find("projectlayers") if each.find("layername").text == "image image")
    assert image.find("datasource").text == path


# Draws what the project shows, and prints the name, validity and state of each layer.
_DRAW = """
import os
import sys
from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsProject
from qgis.PyQt.QtCore import QSize
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
assert project.read(sys.argv[1])
layers = project.layerTreeRoot().findLayers()
for each in layers:
    print(each.name(), each.layer().isValid(), each.isVisible())
print(project.crs().authid())
settings = QgsMapSettings()
settings.setLayers([each.layer() for each in layers if each.isVisible()])
settings.setDestinationCrs(project.crs())
settings.setExtent(project.viewSettings().defaultViewExtent())
settings.setOutputSize(QSize(460, 300))
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
job.renderedImage().save(sys.argv[2])
# Leaving in the usual way crashes where objects are destroyed in another order than QGIS expects.
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
def test_qgis_shows_errors_over_the_image(predicted, tmp_path):  # noqa: F811
    python = "/usr/bin/python3"
    found = shutil.which("qgis") and subprocess.run([python, "-c", "import qgis.core"], capture_output=True).returncode == 0
    if not found:
        pytest.skip("there is no QGIS on this machine")
    # Paths are relative, so a moved folder opens too.
    moved = Path(shutil.copytree(predicted.parent, tmp_path / "moved")) / "out" / "project.qgs"
    project(predicted, predicted / "project.qgs")
    shutil.copy(predicted / "project.qgs", moved)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    picture = tmp_path / "project.png"
    run = subprocess.run([python, "-c", _DRAW, moved, picture], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    *layers, crs = run.stdout.strip().splitlines()
    assert crs == "EPSG:32736" and len(layers) == 11 and all(" True " in each for each in layers)
    assert layers[0] == "errors True True" and layers[-1] == "image image True True"
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    with Image.open(predicted.parent / "image.tif") as image:
        photo = np.asarray(image.resize((460, 300), Image.Resampling.NEAREST)).astype(int)
    same = (np.abs(pixels - photo).max(axis=2) < 3).mean()
    blue = (np.abs(pixels - (0, 114, 178)).max(axis=2) < 40).mean()
    assert same > 0.05, "where nothing is there is the image"
    assert blue > 0.01, "missing parts are blue"
