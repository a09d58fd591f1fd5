"""A judged mask in memory."""

import io
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from segassess import quality
from segassess.errors import InputError, RequestError
from segassess.findings.bands import JudgedBand, probabilities_of
from segassess.findings.findings import LayerShift
from segassess.findings.judged_mask import JudgedMask
from segassess.outputs.panel import render_panel
from segassess.predict.scene_job import SceneJob
from segassess.quality import NOT_ASSESSED
from segassess.raster import Georeference

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# A picture has about this many pixels of the scene at most.
OVERVIEW_PIXELS = 1_000_000
# Width in pixels in a notebook; JPEG, so that notebooks stay small.
_NOTEBOOK_WIDTH, _NOTEBOOK_QUALITY = 1280, 82


class QualityMap:
    """A judged mask, as `segassess.assess` returns it; H and W are the rows and columns of the image.

    `source` is the name of the mask; `notes` are sentences on what had to be guessed of image and mask, and on doubts. A notebook
    shows its `plot()`.
    """

    def __init__(self, job: SceneJob, source: str, overview: NDArray[np.float32]) -> None:
        self.source = source
        image, mask = job.scene.image, job.scene.masks[source]
        doubts = [] if job.doubt is None else [job.doubt]
        self.notes = (*(f"image: {note}" for note in (*image.notes, *doubts)), *(f"{source}: {note}" for note in mask.notes))
        self._job, self._overview = job, overview

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self._job.scene.size

    @property
    def georeference(self) -> Georeference | None:
        """CRS and transform of the image; None if it has none."""
        return self._job.scene.grid.georeference

    @cached_property
    def quality(self) -> NDArray[np.uint8]:
        """Quality map, uint8 (H, W): TP=0, FP=1, TN=2, FN=3, 255 where not assessed; as `quality.tif`."""
        return self._joined(lambda band: band.quality)

    @cached_property
    def error(self) -> NDArray[np.float32]:
        """P(FP) + P(FN), calibrated, float32 (H, W) in [0, 1] in steps of 0.004, NaN where not assessed; as `error.tif`."""
        return self._joined(lambda band: band.error_probability)

    @cached_property
    def refined(self) -> NDArray[np.uint8]:
        """The mask without predicted FP and with predicted FN, uint8 (H, W): 0, 1, 255 where not assessed; as `refined.tif`."""
        return self._joined(lambda band: band.refined)

    @cached_property
    def reference(self) -> NDArray[np.float32]:
        """P(object) by the fit, float32 (H, W), NaN where not assessed; as `reference.tif`. Raises RequestError without a fit."""
        planes = [band.reference for band in self._job.bands(self.source)]
        known = [probabilities_of(plane) for plane in planes if plane is not None]
        if not known:
            raise RequestError("There is a reference map only with a fit to the layer: assess(..., fit='layer').")
        return np.concatenate(known)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The mask under evaluation as it was read, bool (H, W); False where not assessed."""
        return self._joined(lambda band: band.mask)

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the whole mask, as in `scores.csv`; see `findings.scores.estimated_scores`. NaN where unknown."""
        return dict(self._judged.scores)

    @property
    def errors(self) -> "GeoDataFrame":
        """Error regions (`ERROR_COLUMNS`), most expected wrong pixels first; as `errors.gpkg`, in the CRS of the image."""
        return self._judged.findings.errors.frame(self.georeference)

    @property
    def objects(self) -> "GeoDataFrame":
        """Objects of the mask and missed ones (`OBJECT_COLUMNS`), most expected wrong pixels first; as `objects.gpkg`."""
        return self._judged.findings.objects.frame(self.georeference)

    @property
    def polygons(self) -> "GeoDataFrame":
        """Polygons of the layer with verdicts (`POLYGON_COLUMNS`), most expected false pixels first; none of a raster mask."""
        return self._judged.findings.polygons.frame(self.georeference)

    @property
    def missed(self) -> "GeoDataFrame":
        """Outlines of the missed objects (`MISSED_COLUMNS`), as `missed.gpkg`; raises RequestError without a fit."""
        missed = self._judged.findings.missed
        if missed is None:
            raise RequestError("Missed objects have outlines only with a fit to the layer: assess(..., fit='layer').")
        return missed.frame(self.georeference)

    @property
    def shift(self) -> LayerShift | None:
        """The offset at which the whole layer agrees best with the image; None without a fit, and of an empty layer."""
        return self._judged.findings.shift

    @property
    def tiles(self) -> list[dict[str, Any]]:
        """Review tiles and their scores, most expected wrong pixels first; as `tiles.csv`."""
        return self._judged.tiles

    def save(self, folder: str | Path) -> Path:
        """Write the files that `predict.py` writes of a mask into a folder, on the grid of the image, and return the folder.

        Files of the same names are replaced: `quality.tif`, `error.tif`, `refined.tif` and their styles (.qml), `errors.gpkg`,
        `objects.gpkg`, `objects.csv`, `tiles.csv`, and for a layer of polygons `polygons.gpkg` and `polygons.csv`. Raises
        InputError if the file of a polygon layer is gone, RequestError if the folder cannot be written to, OutputError if the
        disk is full.
        """
        self._job.write(self.source, Path(folder), self._judged)
        return Path(folder)

    def plot(self, title: str | None = None, truth: ArrayLike | None = None) -> Image.Image:
        """Image, mask, quality map and error probability side by side, as an RGB picture; the default title is the mask's name.

        With ground truth (H, W), > 0 is foreground, also the true quality map. Raises InputError if its size is not the image's.
        """
        true_quality = None if truth is None else self._reduced(self._true_quality(np.asarray(truth)))
        scores = self.scores
        notes = [
            f"Estimates without ground truth, {self._job.judge.decoding} decoding: F1 {scores['estimated_f1']:.2f}, "
            f"precision {scores['estimated_precision']:.2f}, recall {scores['estimated_recall']:.2f}, "
            f"{scores['error_area_px']:.0f} wrong pixels ({100 * scores['error_share']:.1f} %)."
        ]
        mask, codes, error = map(self._reduced, (self.mask, self.quality, self.error))
        name = title if title is not None else self.source
        iou = scores["estimated_iou"]
        return render_panel(self._overview, mask, codes, error, name, notes, estimated_iou=iou, truth_quality=true_quality)

    def _true_quality(self, truth: NDArray[Any]) -> NDArray[np.uint8]:
        if truth.shape != self.shape:
            raise InputError(f"truth= has the shape {truth.shape}; it must have that of the image, {self.shape}.")
        codes = quality.encode(torch.from_numpy(self.mask), torch.from_numpy(truth > 0)).numpy()
        return np.where(self.quality == NOT_ASSESSED, NOT_ASSESSED, codes).astype(np.uint8)

    def _reduced(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Reduced to the overview, by leaving out the same pixels."""
        height, width, _ = self._overview.shape
        return plane[np.ix_(*self._job.scene.chosen((height, width)))]

    def _joined(self, of_band: Callable[[JudgedBand], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(list(map(of_band, self._job.bands(self.source))))

    @cached_property
    def _judged(self) -> JudgedMask:
        return self._job.gather(self.source)

    def __repr__(self) -> str:
        height, width = self.shape
        scores, found = self.scores, self._judged.findings
        return (
            f"QualityMap({self.source!r}, {height} rows x {width} columns, estimated IoU {scores['estimated_iou']:.3f}, "
            f"{scores['error_area_px']:.0f} wrong pixels expected, {len(found.errors)} errors, {len(found.objects)} objects)"
        )

    def _repr_jpeg_(self) -> bytes:
        picture = self.plot()
        picture.thumbnail((_NOTEBOOK_WIDTH, picture.height), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=_NOTEBOOK_QUALITY)
        return stream.getvalue()
