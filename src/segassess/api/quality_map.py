"""What is known of a judged mask, in memory."""

import io
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from segassess import quality
from segassess.errors import InputError
from segassess.findings.error_regions import ErrorRegion
from segassess.findings.judged_mask import JudgedMask, JudgedMaskSweep
from segassess.findings.object_scores import ObjectScore
from segassess.findings.polygon_scores import PolygonScore
from segassess.outputs.panel import render_panel
from segassess.predict.bands import JudgedBand, KeepsBands
from segassess.predict.scene import Scene, SceneJudge, write_mask_results
from segassess.quality import NOT_ASSESSED
from segassess.raster import Georeference

# A picture is made of at most about so many pixels of the scene.
OVERVIEW_PIXELS = 1_000_000
# Width in pixels of what a notebook shows; JPEG, so that notebooks stay small.
_NOTEBOOK_WIDTH, _NOTEBOOK_QUALITY = 1280, 82


class QualityMap:
    """A judged mask; `segassess.assess` makes it.

    H and W are the rows and columns of the image. A notebook shows it as its `plot()`.

    Attributes:
        source: name of the mask.
        notes: sentences about what had to be guessed of the image and the mask.
    """

    def __init__(
        self,
        scene: Scene,
        source: str,
        judge: SceneJudge,
        bands: KeepsBands,
        overview: NDArray[np.float32],
        notes: tuple[str, ...],
    ) -> None:
        self.source = source
        self.notes = notes
        self._scene, self._judge, self._bands, self._overview = scene, judge, bands, overview

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self._scene.size

    @property
    def georeference(self) -> Georeference | None:
        """CRS and transform of the image; None if it has none."""
        return self._scene.grid.georeference

    @cached_property
    def quality(self) -> NDArray[np.uint8]:
        """Quality map, uint8 (H, W): TP=0, FP=1, TN=2, FN=3, 255 where not assessed; as `quality.tif`."""
        return self._joined(lambda band: band.quality)

    @cached_property
    def error(self) -> NDArray[np.float32]:
        """P(FP) + P(FN), calibrated, float32 (H, W) in [0, 1] in steps of 0.004, NaN where not assessed; as `error.tif`."""
        return self._joined(lambda band: band.rows.error).astype(np.float32)

    @cached_property
    def refined(self) -> NDArray[np.uint8]:
        """The mask without predicted FP and with predicted FN, uint8 (H, W): 0, 1, 255 where not assessed; as `refined.tif`."""
        return self._joined(lambda band: band.refined)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The mask under evaluation as it was read, bool (H, W); False where not assessed."""
        return self._joined(lambda band: band.mask)

    @property
    def scores(self) -> dict[str, float]:
        """Of the whole mask, as in `scores.csv`: see `segassess.findings.scores.estimated_scores`. NaN where unknown."""
        return dict(self._judged.scores)

    @property
    def errors(self) -> list[ErrorRegion]:
        """Error regions, most expected wrong pixels first, outlines in pixel coordinates; as `errors.gpkg`."""
        return self._judged.findings.errors

    @property
    def objects(self) -> list[ObjectScore]:
        """Objects of the mask and missed ones with verdicts, most expected wrong pixels first; as `objects.csv`."""
        return self._judged.findings.objects

    @property
    def polygons(self) -> list[PolygonScore]:
        """Polygons of the layer with verdicts, most expected false pixels first, as `polygons.csv`; none of a raster mask."""
        return list(self._judged.findings.polygons)

    @property
    def tiles(self) -> list[dict[str, Any]]:
        """Review tiles and their scores, most expected wrong pixels first; as `tiles.csv`."""
        return self._judged.tiles

    def save(self, folder: str | Path) -> Path:
        """Write what `predict.py` writes of a mask.

        These are `quality.tif`, `quality.qml`, `error.tif`, `refined.tif`, `errors.gpkg`, `objects.gpkg`, `objects.csv` and
        `tiles.csv`, of a layer of polygons `polygons.gpkg` and `polygons.csv` as well, on the grid of the image. Files of these
        names are replaced.

        Args:
            folder: where; made if it does not exist.

        Returns:
            The folder.

        Raises:
            InputError: if the mask is a layer of polygons whose file is not there any more.
            RequestError: if the folder cannot be written to.
            OutputError: if the disk is full.
        """
        write_mask_results(self._scene, self.source, self._judge, self._bands, Path(folder))
        return Path(folder)

    def plot(self, title: str | None = None, truth: ArrayLike | None = None) -> Image.Image:
        """Image, mask, quality map and error probability side by side.

        Args:
            title: of the picture; None is the name of the mask.
            truth: (H, W), > 0 is foreground, where it is known; the true quality map is then shown as well.

        Returns:
            RGB picture.

        Raises:
            InputError: if the truth is of another size.
        """
        true_quality = None if truth is None else self._reduced(self._true_quality(np.asarray(truth)))
        scores = self.scores
        notes = [
            f"Estimates without ground truth, {self._judge.decoding} decoding: F1 {scores['estimated_f1']:.2f}, "
            f"precision {scores['estimated_precision']:.2f}, recall {scores['estimated_recall']:.2f}, "
            f"{scores['error_area_px']:.0f} wrong pixels ({100 * scores['error_share']:.1f} %)."
        ]
        mask, codes, error = map(self._reduced, (self.mask, self.quality, self.error))
        name = title if title is not None else self.source
        iou = scores["estimated_iou"]
        return render_panel(self._overview, mask, codes, error, name, notes, estimated_iou=iou, truth_quality=true_quality)

    def _true_quality(self, truth: NDArray[Any]) -> NDArray[np.uint8]:
        if truth.shape != self.shape:
            raise InputError(f"The truth has the shape {truth.shape}; give one of the image's, {self.shape}.")
        codes = quality.encode(torch.from_numpy(self.mask), torch.from_numpy(truth > 0)).numpy()
        return np.where(self.quality == NOT_ASSESSED, NOT_ASSESSED, codes).astype(np.uint8)

    def _reduced(self, plane: NDArray[Any]) -> NDArray[Any]:
        """At the size of the overview, by leaving out pixels as the overview does."""
        (height, width), (rows, columns) = self.shape, self._overview.shape[:2]
        return plane[np.ix_(np.arange(rows) * height // rows, np.arange(columns) * width // columns)]

    def _joined(self, of_band: Callable[[JudgedBand], NDArray[Any]]) -> NDArray[Any]:
        bands = range(len(self._judge.tiling.bands(self._scene.grid.height)))
        return np.concatenate([of_band(self._bands.load(index, self.source)) for index in bands])

    @cached_property
    def _judged(self) -> JudgedMask:
        output = self._judge.output
        layer = self._scene.layer(self.source)
        sweep = JudgedMaskSweep(self._scene.grid, output.review_tile, output.min_area_m2, output.rim_px, layer)
        for index, (top, _) in enumerate(self._judge.tiling.bands(self._scene.grid.height)):
            sweep.add(self._bands.load(index, self.source), top)
        return sweep.finish()

    def __repr__(self) -> str:
        height, width = self.shape
        scores = self.scores
        return (
            f"QualityMap({self.source!r}, {height} rows x {width} columns, estimated IoU {scores['estimated_iou']:.3f}, "
            f"{scores['error_area_px']:.0f} wrong pixels expected, {len(self.errors)} errors, {len(self.objects)} objects)"
        )

    def _repr_jpeg_(self) -> bytes:
        picture = self.plot()
        picture.thumbnail((_NOTEBOOK_WIDTH, picture.height), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=_NOTEBOOK_QUALITY)
        return stream.getvalue()
