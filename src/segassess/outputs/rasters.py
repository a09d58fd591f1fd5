"""Write Cloud Optimized GeoTIFFs (tiled, compressed, with overviews) row by row; they appear whole or not at all."""

import errno
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from segassess.files import atomic_path, fault_of_disk
from segassess.findings.bands import NODATA, PROBABILITY_STEPS, JudgedBand
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, NOT_ASSESSED, NUM_CLASSES
from segassess.raster import Georeference, Grid

_TILE = 256
# Bytes, as rasterio passes them on.
_CACHE = 128 * 2**20


@dataclass(frozen=True)
class RasterKind:
    """How a raster of one uint8 band presents itself."""

    description: str  # name of the band
    resampling: str = "MODE"  # of the overviews, a name of GDAL
    # RGBA by value. TIFF palettes have no alpha: transparent values are opaque where the style is not used.
    palette: Mapping[int, tuple[int, int, int, int]] | None = None
    labels: Mapping[int, str] = field(default_factory=dict)  # legend by value
    scale: float | None = None  # of the values
    nodata: int | None = NODATA  # None if all values are data
    tags: Mapping[str, str] = field(default_factory=dict)  # metadata of every raster of the kind


_CLASSES = [f"{code}={CLASS_NAMES[code]} ({CLASS_LABELS[code]})" for code in range(NUM_CLASSES)]

# Codes TP=0, FP=1, TN=2, FN=3, 255 = not assessed.
QUALITY = RasterKind(
    "quality",
    palette={**dict(enumerate(CLASS_COLOURS)), NODATA: (0, 0, 0, 0)},
    labels={code: f"{name} {label}" for code, (name, label) in enumerate(zip(CLASS_NAMES, CLASS_LABELS, strict=True))},
    tags={"CLASSES": "; ".join([*_CLASSES, f"{NOT_ASSESSED}=not assessed"])},
)
# P(FP) + P(FN), see `probability_steps`.
ERROR = RasterKind("P(error)", resampling="AVERAGE", scale=1 / PROBABILITY_STEPS)
# 0 background, 1 foreground.
REFINED = RasterKind(
    "refined mask",
    palette={0: (0, 0, 0, 255), 1: (255, 255, 255, 255), NODATA: (0, 0, 0, 0)},
    labels={0: "background", 1: "object"},
)
_KINDS = {"quality.tif": QUALITY, "error.tif": ERROR, "refined.tif": REFINED}
# Colours of P(error) in QGIS: ColorBrewer's YlOrRd (https://colorbrewer2.org), transparent where nothing is wrong.
_RAMP = {
    0.0: (255, 255, 178, 0),
    0.25: (254, 204, 92, 255),
    0.5: (253, 141, 60, 255),
    0.75: (240, 59, 32, 255),
    1.0: (189, 0, 38, 255),
}
# A segmenter's mask as masks lie beside data sets: 0 background, 255 foreground.
MASK = RasterKind("mask", nodata=None)
# A segmenter's probability, see `probability_steps`.
PROBABILITY = RasterKind("P(object)", resampling="AVERAGE", scale=1 / PROBABILITY_STEPS)
# Of each map, the plane of `JudgedBand` with the name of the file; that of a fit to the layer.
_REFERENCE = {"reference.tif": PROBABILITY}


class RowWriter:
    """Takes rows from top to bottom; see `open_raster`."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.done = 0  # rows written
        self.checksum = 0

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Append rows, uint8 (h, W)."""
        height, width = rows.shape
        self._dataset.write(rows, 1, window=Window(0, self.done, width, height))
        self.done += height
        self.checksum = zlib.crc32(rows.tobytes(), self.checksum)


@contextmanager
def open_raster(path: str | Path, kind: RasterKind, grid: Grid, tags: Mapping[str, str] | None = None) -> Iterator[RowWriter]:
    """A raster to write row by row; it appears at `path` when the block ends well, with all its rows.

    Rows go to a plain file beside it, which is copied to the final layout in the end: this takes twice the space for a moment,
    but only a few blocks of memory. The copy is read back and compared before it appears, because GDAL does not always report a
    full disk. `tags` become metadata of the file. Raises RequestError if the folder cannot be written to, OutputError if the disk
    is full, ValueError if rows are missing at the end.
    """
    place = {} if grid.georeference is None else {"crs": grid.georeference.crs, "transform": grid.georeference.transform}
    layout = {"height": grid.height, "width": grid.width, "count": 1, "dtype": "uint8", "nodata": kind.nodata, **place}
    layout |= {"driver": "GTiff", "tiled": True, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}
    # Differences of neighbours shorten smooth probabilities, but lengthen runs of equal codes. Level 6, the default, takes longer
    # than 3, and makes codes much shorter, but probabilities hardly.
    options = {"BLOCKSIZE": _TILE, "COMPRESS": "DEFLATE"}
    options |= {"PREDICTOR": "NO", "LEVEL": "6"} if kind.scale is None else {"PREDICTOR": "YES", "LEVEL": "3"}
    options |= {"BIGTIFF": "IF_SAFER", "OVERVIEW_RESAMPLING": kind.resampling}
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_CACHEMAX=_CACHE),
        atomic_path(path) as beside,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        plain = beside.with_name(f"{beside.name}.rows.tif")
        try:
            with rasterio.open(plain, "w", **layout) as dataset:
                # Pixels come last: a TIFF's palette cannot be declared once pixels are written.
                if kind.palette is not None:
                    dataset.write_colormap(1, kind.palette)
                if kind.scale is not None:
                    dataset.scales, dataset.offsets = (kind.scale,), (0.0,)
                dataset.set_band_description(1, kind.description)
                dataset.update_tags(**{**(tags or {}), **kind.tags})
                writer = RowWriter(dataset)
                yield writer
            if writer.done != grid.height:
                raise ValueError(f"{path} got {writer.done} of {grid.height} rows.")
            rasterio.shutil.copy(plain, beside, driver="COG", **options)
            if _checksum(beside) != writer.checksum:
                raise OSError(errno.ENOSPC, "the file could not be read back; the disk may be full")
        except RasterioError as error:
            needed = grid.height * grid.width // 8 + 2**20
            raise fault_of_disk(beside.parent, needed, f"GDAL could not write it: {error}") from error
        finally:
            plain.unlink(missing_ok=True)


def _checksum(path: Path) -> int:
    checksum = 0
    with rasterio.open(path) as dataset:
        for top in range(0, dataset.height, _TILE):
            height = min(_TILE, dataset.height - top)
            checksum = zlib.crc32(dataset.read(1, window=Window(0, top, dataset.width, height)), checksum)
    return checksum


def write_raster(
    path: str | Path,
    kind: RasterKind,
    data: ArrayLike,
    georeference: Georeference | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write `data`, uint8 (H, W), as `open_raster` does; raises ValueError for another dtype or shape."""
    rows = np.asarray(data)
    if rows.ndim != 2 or rows.dtype != np.uint8:
        raise ValueError(f"{kind.description} must be uint8 (H, W), not {rows.dtype} {rows.shape}.")
    with open_raster(path, kind, Grid(rows.shape[0], rows.shape[1], georeference), tags) as writer:
        writer.write(rows)


@contextmanager
def open_maps(
    folder: Path, grid: Grid, tags: Mapping[str, str], *, reference: bool = False
) -> Iterator[Callable[[JudgedBand], None]]:
    """Take the bands of a mask from top to bottom for `quality.tif`, `error.tif`, `refined.tif` and their QGIS styles.

    With `reference`, also for `reference.tif`. For `tags` and errors see `open_raster`.
    """
    kinds = {**_KINDS, **(_REFERENCE if reference else {})}
    with ExitStack() as stack:
        writers = {
            Path(name).stem: stack.enter_context(open_raster(folder / name, kind, grid, tags)) for name, kind in kinds.items()
        }

        def write(band: JudgedBand) -> None:
            for name, writer in writers.items():
                writer.write(getattr(band, name))

        yield write
    for name, kind in kinds.items():
        write_style((folder / name).with_suffix(".qml"), kind)


def write_style(path: str | Path, kind: RasterKind) -> None:
    """Write a QGIS style (.qml): a short legend, and transparency, which a TIFF palette cannot have.

    `kind` has labels or a scale. QGIS finds a style that has the name of the raster. Raises RequestError if the folder cannot be
    written to.
    """
    root = ElementTree.Element("qgis", version="3.22")
    common = {"band": "1", "opacity": "1", "alphaBand": "-1"}
    pipe = ElementTree.SubElement(root, "pipe")
    if kind.palette is not None:
        renderer = ElementTree.SubElement(pipe, "rasterrenderer", {"type": "paletted", **common})
        parent, tag = ElementTree.SubElement(renderer, "colorPalette"), "paletteEntry"
        entries = {str(value): (kind.palette[value], label) for value, label in kind.labels.items()}
    else:
        span = {"classificationMin": "0", "classificationMax": "1"}
        renderer = ElementTree.SubElement(pipe, "rasterrenderer", {"type": "singlebandpseudocolor", **common, **span})
        options = {"colorRampType": "INTERPOLATED", "classificationMode": "1", "minimumValue": "0", "maximumValue": "1"}
        shader = ElementTree.SubElement(renderer, "rastershader")
        parent, tag = ElementTree.SubElement(shader, "colorrampshader", {**options, "clip": "0"}), "item"
        # QGIS applies the scale of the band itself.
        entries = {f"{value:g}": (colour, f"{value:g}") for value, colour in _RAMP.items()}
    for value, ((red, green, blue, alpha), label) in entries.items():
        entry = {"value": value, "color": f"#{red:02x}{green:02x}{blue:02x}", "alpha": str(alpha), "label": label}
        ElementTree.SubElement(parent, tag, entry)
    with atomic_path(path) as beside:
        ElementTree.ElementTree(root).write(beside, encoding="utf-8", xml_declaration=True)
