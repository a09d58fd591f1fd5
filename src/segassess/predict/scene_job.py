"""The one way to judge: an image and its masks, window by window into bands of rows, and from these findings and files.

Imports no torch, so that an exported graph works without it.
"""

import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from segassess.errors import InputError
from segassess.findings.bands import JudgedBand, judge_band, probabilities_of
from segassess.findings.by_reference import add_reference, aligned
from segassess.findings.judged_mask import TILE_COLUMNS, JudgedMask, gather
from segassess.findings.review_grid import ReviewGrid
from segassess.interrupts import raise_if_interrupted
from segassess.models.calibration import Calibration
from segassess.outputs.layers import with_attributes, write_layer, write_layers
from segassess.outputs.rasters import open_maps
from segassess.outputs.review_page import TilePicture, tile_picture
from segassess.outputs.tables import write_table
from segassess.predict.band_stores import KeepsBands
from segassess.predict.blending import predict_bands
from segassess.predict.scene import OutputSettings, Scene
from segassess.predict.tiling import Tiling
from segassess.predict.windows import JoinsFit, RowsOnce, WindowNetwork, assess_windows
from segassess.quality import Decoding
from segassess.raster import Grid, Rendering
from segassess.version import __version__

if TYPE_CHECKING:
    import torch

    from segassess.models.assessor.trained_assessor import LoadedAssessor
    from segassess.models.onnx_graph import OnnxGraph

log = logging.getLogger(__name__)

# Pixels so many times as large as any that the assessor learned from, or as small, are worth a word.
_FAR = 2.0
# Files of a mask, and of these the ones that depend on the settings, on the kind of mask or on what was found.
ALWAYS = (
    *(f"{name}.{suffix}" for name in ("quality", "error", "refined") for suffix in ("tif", "qml")),
    *("errors.gpkg", "objects.gpkg", "objects.csv", "tiles.csv"),
)
ONLY_SOMETIMES = (
    *(
        f"{name}.{suffix}"
        for name in ("errors", "objects", "polygons", "missed")
        for suffix in ("geojson", "parquet", "fgb", "pmtiles")
    ),
    *("tiles.parquet", "polygons.gpkg", "polygons.csv", "missed.gpkg", "aligned.gpkg", "reference.tif", "reference.qml"),
    *("panel.png", "review.json"),
)


@dataclass(frozen=True)
class SceneJudge:
    """How scenes are judged, and which files are written."""

    network: WindowNetwork
    decoding: Decoding
    calibration: Calibration
    digest: str = ""  # of the network's file
    gsd_m: tuple[float, float] | None = None  # finest and coarsest of the images it learned from; None if unknown
    recalibration: Calibration = field(default_factory=Calibration)  # what looks at a layer say of calibrated probabilities
    tiling: Tiling = field(default_factory=Tiling)
    rendering: Rendering = field(default_factory=Rendering)  # how the image becomes RGB
    output: OutputSettings = field(default_factory=OutputSettings)
    probe_squares: bool = True  # look for missing objects where a mask is almost empty
    classes: tuple[int, ...] = ()  # values of class rasters, each judged against the rest; empty for binary masks
    panel: bool = False  # also draw panel.png
    report: bool = False  # also write review.json for the review page
    report_pictures: int = 0  # at most so many tiles with pictures, the worst

    @classmethod
    def of(cls, loaded: "LoadedAssessor", device: "torch.device", **settings: Any) -> Self:
        """Judge with a stored assessor as its checkpoint says, moved to `device`; `settings` are further attributes.

        A graph is computed by its runtime, on the CPU.
        """
        from segassess.models.loading import OnnxAssessor
        from segassess.predict.torch_network import TorchNetwork

        if isinstance(loaded.assessor, OnnxAssessor):
            return cls.of_graph(loaded.assessor.graph, **settings)
        about = loaded.description
        network = TorchNetwork(loaded.assessor.to(device), about.decoding, device)
        return cls(network, about.decoding, about.calibration, loaded.digest, _range(about.training), **settings)

    @classmethod
    def of_graph(cls, graph: "OnnxGraph", **settings: Any) -> Self:
        """Judge with an exported graph, without torch; see `of`."""
        from segassess.predict.onnx_network import OnnxNetwork

        about = graph.metadata.description
        calibration = Calibration.from_dict(about["calibration"])
        gsd = _range(about.get("training", {}))
        return cls(OnnxNetwork(graph), about["decoding"], calibration, graph.digest, gsd, **settings)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every raster, which say where it comes from."""
        return {
            "SEGASSESS_VERSION": __version__,
            "SEGASSESS_CHECKPOINT": self.digest,
            "SEGASSESS_DECODING": self.decoding,
        }

    def doubt(self, grid: Grid) -> str | None:
        """A sentence if an image's pixels are far from all that the assessor learned from; None if not, or unknown."""
        area = grid.pixel_area_m2
        if self.gsd_m is None or not area:
            return None
        (finest, coarsest), own = self.gsd_m, math.sqrt(area)
        if finest / _FAR <= own <= coarsest * _FAR:
            return None
        learned = f"{finest:.2g}" if finest == coarsest else f"{finest:.2g} to {coarsest:.2g}"
        return (
            f"its pixels are {own:.2g} m, and the assessor learned from {learned} m; resample image and mask to that, or let it "
            "learn from the layer (fit=layer)."
        )


def _range(training: Mapping[str, Any]) -> tuple[float, float] | None:
    """What a training noted of the ground sampling distances of its tiles, in metres."""
    gsd = training.get("gsd_m")
    return None if gsd is None else (float(gsd[0]), float(gsd[1]))


@dataclass(frozen=True)
class SceneJob:
    """An image and its masks to judge into a store; what was judged can be gathered and written after the files are closed."""

    scene: Scene
    judge: SceneJudge
    store: KeepsBands
    fits: Mapping[str, JoinsFit] = field(default_factory=dict)  # of the masks' layers, by source

    @property
    def doubt(self) -> str | None:
        """See `SceneJudge.doubt`; None if networks have learned from all masks."""
        return None if self.scene.masks.keys() <= self.fits.keys() else self.judge.doubt(self.scene.grid)

    @property
    def review(self) -> ReviewGrid:
        """The grid of review tiles."""
        return ReviewGrid(*self.scene.size, self.judge.output.review_tile)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First row and last row + 1 of each band."""
        return self.judge.tiling.bands(self.scene.grid.height)

    def judge_bands(
        self, wanted: Callable[[int], bool] = lambda index: True, on_window: Callable[[], None] = lambda: None
    ) -> None:
        """Judge the `wanted` bands that the store does not have; `on_window` is called after each window.

        Raises InputError if a file cannot be read; bands judged before that stay.
        """
        image = self.scene.image
        masks = [RowsOnce(mask.read) for mask in self.scene.masks.values()]
        fits = [self.fits.get(source) for source in self.scene.masks]
        calibrations = [
            (self.judge.calibration if fit is None else fit.calibration).then(self.judge.recalibration) for fit in fits
        ]
        predict = assess_windows(self.judge.network, image.read, masks, fits, probe_squares=self.judge.probe_squares)
        asked = [index for index in range(len(self.spans)) if wanted(index)]
        missing = {index for index in asked if not self.store.has(index)}
        if 0 < len(missing) < len(asked):
            there = len(asked) - len(missing)
            log.info("%s: an earlier run left %d of %d bands of rows, which are used.", image.path, there, len(asked))
        for band in predict_bands(self.scene.size, predict, self.judge.tiling, missing.__contains__, on_window):
            rows = slice(band.top, band.bottom)
            unreadable = image.unreadable_pixels(rows)
            judged = [
                replace(judge_band(each, mask(rows)[0], calibration, self.review, band.top), unreadable=unreadable)
                for mask, each, calibration in zip(masks, band.answers, calibrations, strict=True)
            ]
            band.answers.clear()
            self.store.save(band.index, judged)
            del judged
            raise_if_interrupted()

    def bands(self, source: str) -> Iterator[JudgedBand]:
        """The bands of a mask from top to bottom; the store must have all of them."""
        return (self.store.load(index, source) for index in range(len(self.spans)))

    def require_pixels(self) -> None:
        """Raise InputError if no mask has a valid pixel in common with the image."""
        if not any(band.counts[..., 3].any() for source in self.scene.masks for band in self.bands(source)):
            masks = " or ".join(dict.fromkeys(mask.path for mask in self.scene.masks.values()))
            raise InputError(
                f"{self.scene.image.path} has no valid pixel in common with {masks}; check CRS, position, nodata and alpha."
            )

    def gather(self, source: str, bands: Iterable[JudgedBand] | None = None) -> JudgedMask:
        """Gather scores and findings of a mask from its stored bands, or from `bands` where they pass by anyway."""
        output = self.judge.output
        judged = gather(
            self.bands(source) if bands is None else bands,
            self.review,
            self.scene.grid,
            min_area_m2=output.min_area_m2,
            rim_px=output.rim_px,
            layer=self.scene.layer(source),
            arrays=self.store.arrays(),
        )
        if source not in self.fits:
            return judged
        planes, ground = RowsOnce(partial(self._mask_and_reference, source)), self.scene.grid.pixel_ground_m
        return replace(judged, findings=add_reference(judged.findings, planes, self.scene.size, ground))

    def write(self, source: str, folder: Path, judged: JudgedMask | None = None) -> JudgedMask:
        """Write maps, layers and tables of a mask, which is gathered on the way unless `judged` is given.

        Raises InputError if the file of a polygon layer is gone, RequestError if the folder cannot be written to, OutputError if
        the disk is full.
        """
        # Those of an earlier run with other settings would tell of another judgement.
        for name in ONLY_SOMETIMES:
            (folder / name).unlink(missing_ok=True)
        with open_maps(folder, self.scene.grid, self.judge.tags, reference=source in self.fits) as write_band:

            def written() -> Iterator[JudgedBand]:
                for band in self.bands(source):
                    write_band(band)
                    yield band

            if judged is None:
                judged = self.gather(source, written())
            else:
                for _ in written():
                    pass
        self._write_findings(source, folder, judged)
        return judged

    def _write_findings(self, source: str, folder: Path, judged: JudgedMask) -> None:
        output, place, layer = self.judge.output, self.scene.grid.georeference, self.scene.layer(source)
        found = judged.findings
        for name, findings in (("errors", found.errors), ("objects", found.objects)):
            write_layers(folder, name, findings, place, output.formats, output.simplify_px)
        tables = {"objects": found.objects}
        if layer is not None:
            # The new layer repeats the columns of the input, the table does not.
            polygons = with_attributes(found.polygons, layer.attributes(found.polygons.column("feature")))
            write_layers(folder, "polygons", polygons, place, output.formats)
            tables["polygons"] = found.polygons
            if found.shift is not None and found.shift.is_clear:
                write_layer(folder / "aligned.gpkg", aligned(polygons, found.shift), place)
        if found.missed is not None:
            write_layers(folder, "missed", found.missed, place, output.formats)
        for name, table in tables.items():
            write_table(folder / f"{name}.csv", tuple(table.columns), table.rows())
        write_table(folder / "tiles.csv", TILE_COLUMNS, judged.tiles, parquet=output.parquet)

    def reduced(self, source: str, size: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.float32]]:
        """Mask, quality codes and P(error) (NaN where not assessed), each (h, w), reduced as `Scene.overview` is."""
        rows, columns = self.scene.chosen(size)
        masks, codes, errors = [], [], []
        for index, (top, bottom) in enumerate(self.spans):
            mask, quality, error = self.store.planes(index, source, ("mask", "quality", "error"))
            chosen = np.ix_(rows[(rows >= top) & (rows < bottom)] - top, columns)
            masks.append(mask[chosen])
            codes.append(quality[chosen])
            errors.append(error[chosen])
        return np.concatenate(masks), np.concatenate(codes), probabilities_of(np.concatenate(errors))

    def pictures(self, source: str, tiles: Sequence[Mapping[str, Any]]) -> dict[str, TilePicture]:
        """Pictures of review tiles (rows of `JudgedMask.tiles`) by name; one row of tiles is in memory at a time."""
        shown: dict[str, TilePicture] = {}
        for _, group in itertools.groupby(sorted(tiles, key=lambda tile: tile["top"]), key=lambda tile: tile["top"]):
            alike = list(group)
            rows = slice(alike[0]["top"], alike[0]["bottom"])
            codes, error = self._rows(source, rows, "quality", "error")
            for tile in alike:
                columns = slice(tile["left"], tile["right"])
                pixels, _ = self.scene.image.read(rows, columns)
                shown[tile["tile"]] = tile_picture(pixels, codes[:, columns], error[:, columns])
        return {tile["tile"]: shown[tile["tile"]] for tile in tiles}

    def _rows(self, source: str, rows: slice, *names: str) -> list[NDArray[Any]]:
        """Planes (h, W) of a mask's bands, by the names that `JudgedBand` gives them, in some rows."""
        parts = [
            (self.store.planes(index, source, names), slice(max(rows.start - top, 0), rows.stop - top))
            for index, (top, bottom) in enumerate(self.spans)
            if top < rows.stop and bottom > rows.start
        ]
        return [np.concatenate([planes[place][part] for planes, part in parts]) for place in range(len(names))]

    def _mask_and_reference(self, source: str, rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        mask, reference = self._rows(source, rows, "mask", "reference")
        return mask, probabilities_of(reference)
