"""A page to review judged masks tile by tile, worst first: one file, no network, nothing to install.

`segassess.outputs.pages` joins it.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segassess.outputs.pages import finite, joined, link_beside
from segassess.outputs.panel import ERROR_SCALE
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, NOT_ASSESSED, NUM_CLASSES

# Longest side in pixels.
PICTURE, ERROR_PICTURE, THUMB = 320, 160, 64
# Spreads codes over grey values.
_CODE_STEP = 50

# Of a tile in the page.
COLUMNS = (
    "mask", "tile", "left", "top", "right", "bottom", "x", "y", "lon", "lat",
    "estimated_iou", "error_share", "error_area_px", "error_area_m2", "picture",
)  # fmt: skip


class TilePicture(TypedDict):
    """Pictures of a tile, each a JPEG or PNG file in base64."""

    thumb: str
    image: str
    codes: str
    error: str


class ReviewedMask(TypedDict):
    """What the page shows of a mask."""

    name: str  # of the image
    source: str  # of the mask
    crs: str | None  # of x and y; None for pixels
    tiles: list[dict[str, Any]]  # `COLUMNS` but mask and picture; lon and lat are None where unknown
    pictures: dict[str, TilePicture]  # by tile; tiles without one are listed too


def tile_picture(image: NDArray[np.float32], quality: NDArray[np.uint8], error: NDArray[np.uint8]) -> TilePicture:
    """Pictures of a tile: image float32 (h, w, 3) in [0, 1], codes and steps of P(error) uint8 (h, w), 255 where not assessed."""
    photo = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    grey = np.where(quality == NOT_ASSESSED, NOT_ASSESSED, quality * _CODE_STEP).astype(np.uint8)
    colours = np.zeros((NOT_ASSESSED + 1, 4), np.uint8)
    colours[:NUM_CLASSES] = CLASS_COLOURS
    small = photo.convert("RGBA")
    small.alpha_composite(Image.fromarray(colours[quality]))
    small.thumbnail((THUMB, THUMB))
    picture = reduced(photo, PICTURE, Image.Resampling.BOX)
    return TilePicture(
        thumb=encoded(small.convert("RGB"), "JPEG"),
        image=encoded(picture, "JPEG"),
        codes=encoded(reduced(Image.fromarray(grey), PICTURE, Image.Resampling.NEAREST), "PNG"),
        error=encoded(reduced(Image.fromarray(error), ERROR_PICTURE, Image.Resampling.NEAREST), "PNG"),
    )


def render_review_page(
    masks: Sequence[ReviewedMask], about: str, summary: Sequence[tuple[str, str]], pictures: int, findings: str | None = None
) -> str:
    """The page as HTML; its head has the sentence `about` and `summary`, names and values.

    At most `pictures` tiles have a picture, those with the largest expected error area. `findings` is the name of a page of
    findings beside this one.
    """
    tiles = [(index, row) for index, mask in enumerate(masks) for row in mask["tiles"]]
    tiles.sort(key=lambda each: -each[1]["error_area_px"])
    kept: list[TilePicture] = []
    rows = []
    for index, row in tiles:
        picture = masks[index]["pictures"].get(row["tile"]) if len(kept) < pictures else None
        if picture is not None:
            kept.append(picture)
        values = {**row, "mask": index, "picture": None if picture is None else len(kept) - 1}
        rows.append([finite(values[column]) for column in COLUMNS])
    content: dict[str, Any] = {
        "about": about,
        "summary": list(summary),
        "classes": [
            {"name": name, "label": label, "colour": colour}
            for name, label, colour in zip(CLASS_NAMES, CLASS_LABELS, CLASS_COLOURS, strict=True)
        ],
        "scale": ERROR_SCALE.tolist(),
        "masks": [{"name": mask["name"], "source": mask["source"], "crs": mask["crs"]} for mask in masks],
        "columns": COLUMNS,
        "tiles": rows,
    }
    # Keeps the verdicts on different pages apart.
    content["id"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    content["pictures"] = kept
    link = "" if findings is None else link_beside(findings, "What is wrong, finding by finding")
    return joined(__package__, "segassess review", content, findings=link)


def reduced(picture: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    """The picture with its longer side of at most `side` pixels."""
    longest = max(picture.size)
    if longest <= side:
        return picture
    width, height = (max(1, round(length * side / longest)) for length in picture.size)
    return picture.resize((width, height), resampling)


def encoded(picture: Image.Image, kind: str) -> str:
    """The picture as a JPEG or PNG file in base64."""
    stream = io.BytesIO()
    # Smaller PNGs, by 3 to 15 %, would take six to eight times as long.
    picture.save(stream, kind, **({"quality": 75} if kind == "JPEG" else {}))
    return base64.b64encode(stream.getvalue()).decode("ascii")
