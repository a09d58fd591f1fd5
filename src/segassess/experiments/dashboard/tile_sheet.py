"""A picture of a few judged tiles: mask, predicted and true quality map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segassess.files import atomic_path
from segassess.outputs.panel import mask_over, quality_over
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, FN, FP, TP

HEADINGS = ("mask", "predicted quality", "true quality")
# Side of a picture in pixels.
SIDE = 256

_INK, _PAPER = (33, 37, 41), (255, 255, 255)
_MARGIN, _GAP, _LINE, _SWATCH = 16, 8, 22, 12
_TILES_IN_A_ROW = 2


@dataclass(frozen=True)
class JudgedTile:
    """A judged tile: image uint8 (H, W, 3) in RGB, mask bool (H, W), and quality maps uint8 (H, W).

    `predicted` and `true` are quality codes, 255 where not assessed; `source` is that of the mask.
    """

    name: str
    source: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    predicted: NDArray[np.uint8]
    true: NDArray[np.uint8]

    @property
    def caption(self) -> str:
        """Names of tile and source."""
        return f"{self.name}, mask of {self.source}"


def write_tile_sheet(path: Path, tiles: Sequence[JudgedTile], title: str) -> None:
    """Write the sheet as PNG, two tiles in a row, each scaled to 256 px."""
    row, column = SIDE + _LINE + _GAP, len(HEADINGS) * (SIDE + _GAP) + _GAP
    top = _MARGIN + 2 * _LINE
    lines = math.ceil(len(tiles) / _TILES_IN_A_ROW)
    size = (2 * _MARGIN + column * min(len(tiles), _TILES_IN_A_ROW) - 2 * _GAP, top + row * lines + _LINE + _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=ImageFont.load_default(16))
    for number, tile in enumerate(tiles):
        line, place = divmod(number, _TILES_IN_A_ROW)
        left, upper = _MARGIN + place * column, top + line * row
        draw.text((left, upper + SIDE + 2), tile.caption, fill=_INK, font=font)
        for heading, picture in zip(HEADINGS, _pictures(tile), strict=True):
            if line == 0:
                draw.text((left, _MARGIN + _LINE), heading, fill=_INK, font=font)
            sheet.paste(picture, (left, upper))
            left += SIDE + _GAP
    left = _MARGIN
    for code in (TP, FP, FN):
        bottom = size[1] - _MARGIN
        draw.rectangle((left, bottom - _SWATCH, left + _SWATCH, bottom), fill=CLASS_COLOURS[code][:3])
        label = f"{CLASS_NAMES[code]} {CLASS_LABELS[code]}"
        draw.text((left + _SWATCH + 6, bottom - _SWATCH // 2), label, fill=_INK, font=font, anchor="lm")
        left += _SWATCH + 6 + round(font.getlength(label)) + 2 * _GAP
    with atomic_path(path) as temporary:
        # A training waits for this; low compression is several times faster.
        sheet.save(temporary, compress_level=1)


def _pictures(tile: JudgedTile) -> tuple[Image.Image, Image.Image, Image.Image]:
    height, width = tile.mask.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    resampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    photo = Image.fromarray(tile.image).resize(size, resampling)
    return mask_over(photo, tile.mask, size), quality_over(photo, tile.predicted, size), quality_over(photo, tile.true, size)
