"""Reading images and masks from any file that GDAL supports, whole or by window."""

from segassess.raster.grid import Georeference, Grid
from segassess.raster.image import ImageFile, Rendering, open_image, read_image
from segassess.raster.mask import read_mask
from segassess.raster.masks import MaskFile, open_mask
from segassess.raster.opening import RASTER_SUFFIXES, RasterPath, is_remote
from segassess.raster.vectors import VECTOR_SUFFIXES, VectorMask

__all__ = [
    "RASTER_SUFFIXES",
    "VECTOR_SUFFIXES",
    "Georeference",
    "Grid",
    "ImageFile",
    "MaskFile",
    "RasterPath",
    "Rendering",
    "VectorMask",
    "is_remote",
    "open_image",
    "open_mask",
    "read_image",
    "read_mask",
]
