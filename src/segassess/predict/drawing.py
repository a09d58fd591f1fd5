"""Draw a segmenter's masks beside a data set, with a record of who drew them; an interrupted run continues."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from segassess.data.mask_records import RECORD_FILE, MaskRecord, append_record, read_records
from segassess.data.tiles import Tile, TileSet
from segassess.errors import InputError, RequestError
from segassess.findings.bands import probability_steps
from segassess.metrics.segmentation import SegmentationMetrics
from segassess.models.segmenters.fitted import FittedSegmenter
from segassess.models.segmenters.trained_segmenter import StoredSegmenter
from segassess.outputs.rasters import MASK, PROBABILITY, write_raster
from segassess.predict.torch_network import segment_raster
from segassess.raster import read_image, read_mask
from segassess.raster.pairs import FailedInput
from segassess.version import __version__

PROBABILITIES = "probability"
SEGMENTER_TAG = "SEGASSESS_SEGMENTER"


@dataclass(frozen=True)
class DrawnMasks:
    """What `draw_masks` did in one split."""

    split: str
    masks: int  # that there are now
    skipped: int  # of these, complete from an earlier run
    seen: dict[str, int]  # masks by what their network had to do with the image: "trained", "selected", "no"
    scores: dict[str, float]  # of masks whose tile has ground truth, see `SegmentationMetrics`
    failures: tuple[FailedInput, ...]  # tiles without a mask, and why


def draw_masks(
    fitted: FittedSegmenter,
    tileset: TileSet,
    split: str,
    *,
    device: torch.device,
    threshold: float | None = None,
    probabilities: bool = False,
    overwrite: bool = False,
    on_tile: Callable[[], None] = lambda: None,
) -> DrawnMasks:
    """Write the masks of a split to `tileset.mask_folder(split, name)`, each by the network that may segment its tile.

    A mask is skipped if the record says that the same network drew it with the same threshold. A mask without a record, as an
    interrupted run leaves it, is drawn again. `overwrite` draws all masks and also replaces those of unknown origin. `threshold`
    applies to the probability; None is the segmenter's own. `probabilities` also writes `probability/<tile name>.tif` beside the
    masks. `on_tile` is called after each tile. The networks move to `device`.

    Raises RequestError if the split is missing, or holds masks of this source that the record does not list.
    """
    limit = fitted.threshold if threshold is None else threshold
    tiles, folder = tileset.tiles(split), tileset.mask_folder(split, fitted.name)
    records = _records_to_replace(folder) if overwrite else read_records(folder)
    if not overwrite:
        _refuse_unknown(tiles, fitted.name, records)
    for network in fitted.networks:
        network.segmenter.to(device)
    metrics = SegmentationMetrics()
    failures: list[FailedInput] = []
    seen_counts: dict[str, int] = {}
    skipped = 0
    tags = {SEGMENTER_TAG: fitted.name, "SEGASSESS_VERSION": __version__}
    for tile in tiles:
        index, seen = fitted.choose(tile.key)
        network = fitted.networks[index]
        record = MaskRecord(tile.name, fitted.name, network.digest, limit, seen)
        paths = [folder / f"{tile.name}.tif"] + [folder / PROBABILITIES / f"{tile.name}.tif"] * probabilities
        try:
            if not overwrite and records.get(tile.name) == record and all(path.is_file() for path in paths):
                mask = read_mask(paths[0]).pixels
                skipped += 1
            else:
                mask = _draw(tile, network, limit, paths, {**tags, "SEGASSESS_SEEN": seen}, device)
                append_record(folder, record)
                if (replaced := tile.masks.get(fitted.name, paths[0])) != paths[0]:
                    # One stem has one mask; of two files the loader might take the other.
                    replaced.unlink()
            _score(metrics, tile, mask)
            seen_counts[seen] = seen_counts.get(seen, 0) + 1
        except InputError as error:
            failures.append(FailedInput(tile.name, str(error)))
        on_tile()
    return DrawnMasks(split, len(tiles) - len(failures), skipped, seen_counts, metrics.compute(), tuple(failures))


def _draw(
    tile: Tile, network: StoredSegmenter, threshold: float, paths: Sequence[Path], tags: dict[str, str], device: torch.device
) -> NDArray[np.bool_]:
    tags = {**tags, "SEGASSESS_CHECKPOINT": network.digest}
    image = read_image(tile.image)
    probability = segment_raster(network.segmenter, image.pixels, device)
    mask: NDArray[np.bool_] = (probability > threshold) & image.valid
    for path in paths[1:]:
        write_raster(path, PROBABILITY, probability_steps(probability, image.valid), image.georeference, tags)
    # The mask comes last: where it is, the probability is complete.
    write_raster(paths[0], MASK, np.where(mask, np.uint8(255), np.uint8(0)), image.georeference, tags)
    return mask


def _score(metrics: SegmentationMetrics, tile: Tile, mask: NDArray[np.bool_]) -> None:
    pixels = tile.read()
    if pixels.truth is not None:
        metrics.update(*(torch.from_numpy(plane)[None, None] for plane in (mask, pixels.truth, pixels.valid)))


def _records_to_replace(folder: Path) -> dict[str, MaskRecord]:
    """The records of masks that are all drawn again; removes an unreadable record."""
    try:
        return read_records(folder)
    except InputError:
        (folder / RECORD_FILE).unlink()
        return {}


def _refuse_unknown(tiles: Sequence[Tile], source: str, records: dict[str, MaskRecord]) -> None:
    unrecorded = [tile.masks[source] for tile in tiles if source in tile.masks and tile.name not in records]
    if unknown := [path for path in unrecorded if not _drawn_here(path, source)]:
        raise RequestError(
            f"{unknown[0]} was not drawn by this program ({len(unknown)} such masks of {source}); "
            f"move them away, or set overwrite=true to replace them."
        )


def _drawn_here(path: Path, source: str) -> bool:
    """Whether the tags of a mask say that this program drew it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as dataset:
                return bool(dataset.tags().get(SEGMENTER_TAG) == source)
        except RasterioError:
            return False
