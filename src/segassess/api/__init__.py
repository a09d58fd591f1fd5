"""The Python API: `load` an assessor, `assess` masks, read a `QualityMap`; same files, same numbers as `predict.py`."""

from segassess.api.assessing import assess
from segassess.api.judge import Judge
from segassess.api.loading import load
from segassess.api.quality_map import QualityMap
from segassess.predict.scene import OutputSettings
from segassess.predict.tiling import Tiling
from segassess.raster import Georeference, Rendering

__all__ = ["Georeference", "Judge", "OutputSettings", "QualityMap", "Rendering", "Tiling", "assess", "load"]
