"""The Python API: `load` an assessor, `assess` masks, `fit` to them, read a `QualityMap` with the numbers of `predict.py`."""

from segassess.api.assessing import assess, fit
from segassess.api.judge import Judge
from segassess.api.loading import load
from segassess.api.quality_map import QualityMap
from segassess.options.fit import FitSettings
from segassess.predict.scene import OutputSettings
from segassess.predict.tiling import Tiling
from segassess.raster import Georeference, Rendering

__all__ = [
    "FitSettings",
    "Georeference",
    "Judge",
    "OutputSettings",
    "QualityMap",
    "Rendering",
    "Tiling",
    "assess",
    "fit",
    "load",
]
