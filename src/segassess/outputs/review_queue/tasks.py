"""The tasks of a review queue: review tiles of judged masks, worst first, and the errors in them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window
from scipy import ndimage

from segassess.errors import InputError, RequestError
from segassess.files import atomic_path
from segassess.findings.error_regions import AREA
from segassess.outputs.judged_folder import images_of, judged_folders, read_record, rendering_of, table_rows
from segassess.quality import FP, TP
from segassess.raster import Georeference, Grid, Rendering, open_image
from segassess.raster.grid import apply_to_all
from segassess.raster.opening import opened
from segassess.raster.pairs import safe_name

# Folders of the pictures in the queue's: of the tiles, and of these with the outline of a mask.
PICTURES, MASKS = "images", "masks"
# Of the outline, in RGB: on roofs, grass and asphalt alike it is seen.
_OUTLINE = (255, 255, 0)
_SCORES = ("estimated_iou", "estimated_f1", "estimated_precision", "estimated_recall", "error_share", "error_area_px")
# Of the layer of errors, as `TaskError` names them.
_COLUMNS = ("error", "quality", "form", "mean_error")
# Pixels: the border of a tile may leave less of an error than anybody wants to click on.
_SMALLEST_REST = 4.0

# Corners: x to the right and y downwards from the upper left corner of the tile, in pixels; the first is not repeated.
Ring: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TaskError:
    """The part of an error region that lies in a tile."""

    error: int  # number of the region, 1 is the worst of the mask
    quality: str  # "FP" or "FN"
    form: str  # "area" or "rim"
    mean_error: float  # of the region, in [0, 1]
    rings: tuple[Ring, ...]  # of pieces that together are the region, without holes, which labelling tools lack


@dataclass(frozen=True)
class ReviewTask:
    """A tile of a mask to look at."""

    name: str  # of the image
    source: str  # of the mask
    tile: str  # such as "r0c1"
    picture: str  # path in the folder of the queue, with "/"
    width: int  # in pixels, as are height, left and top
    height: int
    left: int  # first column in the image
    top: int  # first row in the image
    mask_picture: str  # as `picture`, with the mask's outline
    x: float  # of the centre, as is y, in the CRS of the image, or in pixels without one
    y: float
    crs: str | None  # of the image, as EPSG:CODE or WKT
    transform: tuple[float, ...] | None  # of the tile: x = a * column + b * row + c, y = d * column + e * row + f
    scores: Mapping[str, float | None]  # as in `tiles.csv`; None where unknown
    errors: tuple[TaskError, ...]  # worst first

    @property
    def title(self) -> str:
        """One line that names image, mask and tile."""
        return f"{self.name}, mask of {self.source}, tile {self.tile}"

    def facts(self, rank: int) -> dict[str, Any]:
        """What a tool may sort and filter by; `rank` is the place in the queue, from 1."""
        place = {"rank": rank, "name": self.name, "source": self.source, "tile": self.tile, "x": self.x, "y": self.y}
        frame = {"left": self.left, "top": self.top, "crs": self.crs, "transform": self.transform and list(self.transform)}
        return {**place, **frame, **self.scores}


def make_tasks(
    predicted: Path,
    queue: Path,
    image: str | None = None,
    *,
    most: int = 500,
    errors: int = 100,
    simplify_px: float = 1.0,
    rims: bool = False,
) -> list[ReviewTask]:
    """Read the output of `predict.py`, and draw pictures of each tile into the subfolders `images` and `masks` of `queue`.

    Returns the `most` tiles with the most expected wrong pixels, worst first, each with its `errors` worst errors: areas, and
    with `rims` also outlines that are a few pixels off. `image` is
    given as to `predict.py`; None takes the one in its record. Outlines may leave the edges of pixels by `simplify_px`. Raises
    RequestError if the folder is no output of predict.py, an image is missing or the queue cannot be written, InputError if an
    image cannot be read.
    """
    record = read_record(predicted)
    images, rendering = images_of(record, image), rendering_of(record)
    tiles = sorted(_tiles(predicted), key=lambda tile: -float(tile["error_area_px"]))[:most]
    regions: dict[Path, Regions] = {}
    tasks: list[ReviewTask] = []
    for tile in tiles:
        if tile["name"] not in images:
            raise RequestError(f"The image of {tile['name']} was not found; set image= to where the images are now.")
        left, top, right, bottom = (int(tile[side]) for side in ("left", "top", "right", "bottom"))
        picture = f"{PICTURES}/{safe_name(tile['name'])}_{tile['tile']}.png"
        # Masks of one image share it.
        if not any(task.picture == picture for task in tasks):
            _write_picture(queue / picture, images[tile["name"]], rendering, slice(top, bottom), slice(left, right))
        folder = tile["folder"]
        regions[folder] = regions.get(folder) or Regions.read(folder)
        place = regions[folder].georeference
        outlined = f"{MASKS}/{safe_name(tile['name'])}_{safe_name(tile['source'])}_{tile['tile']}.png"
        _write_outlined(queue / outlined, queue / picture, folder, Window(left, top, right - left, bottom - top))
        tasks.append(
            ReviewTask(
                name=tile["name"],
                source=tile["source"],
                tile=tile["tile"],
                picture=picture,
                mask_picture=outlined,
                width=right - left,
                height=bottom - top,
                left=left,
                top=top,
                x=float(tile["x"]),
                y=float(tile["y"]),
                crs=None if place is None or place.crs is None else place.crs.to_string(),
                transform=None if place is None else tuple(place.transform @ Affine.translation(left, top))[:6],
                scores={name: float(tile[name]) if tile[name] else None for name in _SCORES},
                errors=tuple(regions[folder].within(left, top, right, bottom, simplify_px, rims))[:errors],
            )
        )
    return tasks


def without_holes(polygon: shapely.Polygon) -> list[shapely.Polygon]:
    """Pieces without holes that together are the polygon; each cut goes through the middle of a hole."""
    if not polygon.interiors:
        return [polygon]
    left, low, right, high = polygon.bounds
    hole_left, _, hole_right, _ = polygon.interiors[0].bounds
    middle = (hole_left + hole_right) / 2
    halves = [
        shapely.intersection(polygon, shapely.box(*span)) for span in ((left, low, middle, high), (middle, low, right, high))
    ]
    return [piece for half in halves for part in _polygons(half) for piece in without_holes(part)]


def _polygons(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    parts = shapely.get_parts(geometry, return_index=False)
    return [part for part in parts.tolist() if isinstance(part, shapely.Polygon) and not part.is_empty]


@dataclass(frozen=True)
class Regions:
    """Error regions of a mask in pixel coordinates of its image, worst first."""

    outlines: NDArray[Any]
    columns: Mapping[str, Sequence[Any]]  # `_COLUMNS`
    georeference: Georeference | None = None  # of the image

    @classmethod
    def read(cls, folder: Path) -> "Regions":
        """Read `errors.gpkg`; raises RequestError if files are missing."""
        try:
            with opened(folder / "quality.tif") as quality:
                grid = Grid.of(quality)
            about, _, stored, values = pyogrio.raw.read(folder / "errors.gpkg", layer="errors", columns=list(_COLUMNS))
        except (InputError, pyogrio.errors.DataSourceError) as error:
            raise RequestError(f"{folder} is not complete ({error}); run predict.py again with the same output_dir.") from error
        outlines = shapely.from_wkb(stored)
        if grid.georeference is not None:
            to_pixels = ~grid.georeference.transform
            outlines = shapely.transform(outlines, lambda points: apply_to_all(to_pixels, points))
            # Outlines lie on the edges of pixels again.
            outlines = shapely.set_precision(outlines, 2**-10)
        return cls(
            outlines, {name: column.tolist() for name, column in zip(about["fields"], values, strict=True)}, grid.georeference
        )

    def within(self, left: int, top: int, right: int, bottom: int, simplify_px: float, rims: bool) -> Iterator[TaskError]:
        """The errors in a tile, in pixel coordinates of the tile; areas only, or `rims` as well."""
        frame = shapely.box(left, top, right, bottom)
        wanted = rims | (np.array(self.columns["form"], object) == AREA)
        for index in np.flatnonzero(wanted & shapely.intersects(self.outlines, frame)):
            here = shapely.intersection(self.outlines[index], frame)
            if simplify_px:
                here = shapely.simplify(here, simplify_px, preserve_topology=True)
            pieces = [piece for part in _polygons(here) for piece in without_holes(part) if piece.area >= _SMALLEST_REST]
            if pieces:
                rings = tuple(tuple((x - left, y - top) for x, y in piece.exterior.coords[:-1]) for piece in pieces)
                yield TaskError(**{name: values[int(index)] for name, values in self.columns.items()}, rings=rings)


def _tiles(predicted: Path) -> Iterator[dict[str, Any]]:
    """Rows of all `tiles.csv`, with name, source and folder of the mask."""
    for judged in judged_folders(predicted):
        for tile in table_rows(judged.require("tiles.csv")):
            yield {**tile, "name": judged.name, "source": judged.source, "folder": judged.folder}


def _write_picture(path: Path, image: str, rendering: Rendering, rows: slice, columns: slice) -> None:
    """A tile as the assessor saw it."""
    with open_image(image, rendering) as file:
        pixels, _ = file.read(rows, columns)
    with atomic_path(path) as beside:
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(beside)


def _write_outlined(path: Path, picture: Path, folder: Path, window: Window) -> None:
    """The picture of a tile with the outline of the mask that the quality map of `folder` is of."""
    with opened(folder / "quality.tif") as quality:
        inside = np.isin(quality.read(1, window=window), (TP, FP))
    with Image.open(picture) as stored:
        pixels = np.asarray(stored).copy()
    pixels[inside & ~ndimage.binary_erosion(inside, border_value=1)] = _OUTLINE
    with atomic_path(path) as beside:
        Image.fromarray(pixels).save(beside)


def share_right(task: ReviewTask) -> float | None:
    """Expected share of right pixels in [0, 1], by which tools sort, the lowest first; None where unknown."""
    wrong = task.scores["error_share"]
    return None if wrong is None or math.isnan(wrong) else 1 - wrong
