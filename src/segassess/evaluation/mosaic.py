"""Large rasters that need no disk space: virtual mosaics (GDAL's VRT) that repeat a small one."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

from segassess.files import atomic_path
from segassess.raster.opening import opened

_DTYPES = {"uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}


def write_mosaic(path: str | Path, source: str | Path, height: int, width: int) -> None:
    """Write a .vrt of `height` x `width` pixels that repeats a raster to the right and downwards, with its origin and CRS.

    Raises:
        InputError: if the source cannot be read.
        RequestError: if the folder is not writable.
    """
    with opened(source) as dataset:
        root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
        if dataset.crs is not None:
            ElementTree.SubElement(root, "SRS").text = dataset.crs.to_wkt()
            ElementTree.SubElement(root, "GeoTransform").text = ", ".join(map(repr, dataset.transform.to_gdal()))
        for band, dtype in enumerate(dataset.dtypes, 1):
            options = {"dataType": _DTYPES[dtype], "band": str(band)}
            node = ElementTree.SubElement(root, "VRTRasterBand", options)
            if dataset.nodata is not None:
                ElementTree.SubElement(node, "NoDataValue").text = repr(dataset.nodata)
            ElementTree.SubElement(node, "ColorInterp").text = dataset.colorinterp[band - 1].name.capitalize()
            places = itertools.product(range(0, height, dataset.height), range(0, width, dataset.width))
            for top, left in places:
                part = ElementTree.SubElement(node, "SimpleSource")
                ElementTree.SubElement(part, "SourceFilename", relativeToVRT="0").text = str(Path(source).resolve())
                ElementTree.SubElement(part, "SourceBand").text = str(band)
                size = {"xSize": str(min(dataset.width, width - left)), "ySize": str(min(dataset.height, height - top))}
                ElementTree.SubElement(part, "SrcRect", {"xOff": "0", "yOff": "0", **size})
                ElementTree.SubElement(part, "DstRect", {"xOff": str(left), "yOff": str(top), **size})
    with atomic_path(path) as beside:
        ElementTree.ElementTree(root).write(beside)
