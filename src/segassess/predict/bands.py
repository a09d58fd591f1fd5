"""What is said of a band of rows, and where it is kept until the raster is whole."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from segassess import quality
from segassess.files import atomic_path
from segassess.findings.judged_rows import JudgedRows
from segassess.findings.review_grid import ReviewGrid
from segassess.models.calibration import Calibration
from segassess.outputs.rasters import NODATA, PROBABILITY_STEPS, probability_steps
from segassess.quality import FN, FP, NOT_ASSESSED, TP

# Columns that are worked on at once, so that wide rasters need no more memory than narrow ones.
_CHUNK = 1024


@dataclass(frozen=True)
class JudgedBand:
    """A judged band of one mask.

    Attributes:
        quality: uint8 (h, W), quality codes; 255 where not assessed.
        error: uint8 (h, W), calibrated P(error) in steps, see `probability_steps`; 255 where not assessed.
        mask: bool (h, W).
        true: float16 (h, W), calibrated P(TP).
        missing: float16 (h, W), calibrated P(FN).
        counts: float64 (rows, columns, 4), see `ReviewGrid.counts`.
        unreadable: pixels of the image that could not be read, see `raster.unreadable`.
    """

    quality: NDArray[np.uint8]
    error: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    true: NDArray[np.float16]
    missing: NDArray[np.float16]
    counts: NDArray[np.float64]
    unreadable: int = 0

    @property
    def refined(self) -> NDArray[np.uint8]:
        """The refined mask, uint8 (h, W): 0, 1, 255 where not assessed."""
        refined = quality.refine(torch.from_numpy(self.mask), torch.from_numpy(self.quality)).numpy()
        return np.where(self.quality == NOT_ASSESSED, np.uint8(NODATA), refined.astype(np.uint8))

    @property
    def rows(self) -> JudgedRows:
        """What findings are gathered from."""
        error = np.where(self.error == NODATA, np.float32(np.nan), self.error / np.float32(PROBABILITY_STEPS))
        return JudgedRows(self.quality, self.mask, self.true, self.missing, error)


def judge_band(
    probabilities: NDArray[np.float32],
    mask: NDArray[np.bool_],
    calibration: Calibration,
    grid: ReviewGrid,
    top: int,
    unreadable: int = 0,
) -> JudgedBand:
    """Decide, calibrate and count.

    Args:
        probabilities: (4, h, W), as the assessor gave them; NaN where there is nothing to judge.
        mask: (h, W), the mask under evaluation.
        calibration: of the assessor.
        grid: whose tiles are counted.
        top: the band's first row in the raster.
        unreadable: pixels of the image that could not be read.
    """
    height, width = mask.shape
    codes, error = (np.full(mask.shape, NODATA, np.uint8) for _ in range(2))
    true, missing = (np.zeros(mask.shape, np.float16) for _ in range(2))
    counts = np.zeros((*grid.rows_of(top, height), 4))
    for left in range(0, width, _CHUNK):
        part = np.s_[:, left : left + _CHUNK]
        raw = torch.from_numpy(np.ascontiguousarray(probabilities[:, :, left : left + _CHUNK]))[None]
        known = ~torch.isnan(raw).any(dim=1)[0].numpy()
        decided = quality.decode(calibration.for_decisions(raw))[0].numpy()
        calibrated = calibration(raw)[0].numpy()
        codes[part] = np.where(known, decided, NOT_ASSESSED)
        error[part] = probability_steps(calibrated[FP] + calibrated[FN], known)
        true[part], missing[part] = (np.where(known, calibrated[code], 0) for code in (TP, FN))
        counts += grid.counts(calibrated, known, top, left)
    return JudgedBand(codes, error, mask & (codes != NOT_ASSESSED), true, missing, counts, unreadable)


class KeepsBands(Protocol):
    """Where judged bands are kept until the raster is whole; see `BandStore` and `BandsInMemory`."""

    def has(self, index: int) -> bool:
        """Whether the band of all masks is there."""

    def save(self, index: int, bands: Sequence[JudgedBand]) -> None:
        """Keep a band of each mask, in the order of the sources."""

    def load(self, index: int, source: str) -> JudgedBand:
        """A band of one mask."""


class BandStore:
    """Judged bands on disk, so that an interrupted run goes on where it was, and several processes can share a raster.

    A band appears whole or not at all. Bands of different requests lie in different folders, so none is taken for another's.

    Args:
        folder: where to keep them.
        fingerprint: of the request.
        sources: names of the masks.
    """

    def __init__(self, folder: Path, fingerprint: str, sources: Sequence[str]) -> None:
        self._root = folder
        self.folder = folder / hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
        self._sources = list(sources)

    def remove_others(self) -> None:
        """Remove bands of other requests."""
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            if folder.is_dir() and folder != self.folder:
                shutil.rmtree(folder)

    def clear(self) -> None:
        """Remove all bands of this request."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def has(self, index: int) -> bool:
        """Whether the band of all masks is there."""
        return all(self._path(index, source).is_file() for source in self._sources)

    def save(self, index: int, bands: Sequence[JudgedBand]) -> None:
        """Keep a band of each mask, in the order of the sources.

        Raises:
            RequestError: if the folder cannot be written to.
            OutputError: if the disk is full.
        """
        for source, band in zip(self._sources, bands, strict=True):
            content = {**vars(band), "mask": np.packbits(band.mask, axis=1)}
            with atomic_path(self._path(index, source)) as beside, beside.open("wb") as file:
                np.savez_compressed(file, **content)

    def load(self, index: int, source: str) -> JudgedBand:
        """A band of one mask.

        Raises:
            OSError: if it is not there or cannot be read.
        """
        with np.load(self._path(index, source)) as stored:
            content = {name: stored[name] for name in stored.files}
        width = content["quality"].shape[1]
        content["mask"] = np.unpackbits(content["mask"], axis=1, count=width).astype(bool)
        content["unreadable"] = int(content["unreadable"])
        return JudgedBand(**content)

    def valid_pixels(self, source: str, bands: int) -> int:
        """Number of pixels of a mask that were assessed, in so many bands."""
        number = 0.0
        for index in range(bands):
            with np.load(self._path(index, source)) as stored:
                number += stored["counts"][..., 3].sum()
        return int(number)

    def _path(self, index: int, source: str) -> Path:
        # Sources may hold what a file's name may not.
        return self.folder / hashlib.sha256(source.encode()).hexdigest()[:12] / f"band_{index:06d}.npz"
