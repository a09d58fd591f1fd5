"""Panels show image, mask, quality map and error map side by side; Pillow's own font looks the same on every machine."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, FN, FP, NOT_ASSESSED, TN, TP

_ERROR = "Error probability"

# Longest side of one picture, in pixels of the panel.
SMALLEST, LARGEST = 320, 640

Colour = tuple[int, int, int]

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (33, 37, 41)
_QUIET_INK: Colour = (108, 117, 125)
_RULE: Colour = (206, 212, 218)
_MASK_COLOUR: Colour = (240, 228, 66)  # Okabe and Ito's yellow, which no class of the quality map uses.
_NO_DATA_COLOUR: Colour = (233, 236, 239)
_STRIPE_COLOUR: Colour = (206, 212, 218)

_MARGIN, _GAP = 28, 20
_TITLE_SIZE, _HEADING_SIZE, _TEXT_SIZE = 24, 17, 15
_SWATCH = 18

# The image shines through, less so under errors, which matter most.
_OPACITY = {TP: 0.5, FP: 0.85, FN: 0.85, TN: 0.0}

# A reduced pixel gets the class with the largest share of it; thin errors along outlines would never win unweighted.
_WEIGHT = {TP: 1.0, FP: 2.0, FN: 2.0, TN: 1.0, NOT_ASSESSED: 1.0}

# Average grey of a photo under a quality map.
_GROUND: Colour = (150, 150, 150)

# Anchors of a scale like inferno, with even steps in lightness: dark blue, purple, red, orange, cream.
_SCALE_ANCHORS: tuple[Colour, ...] = (
    (6, 6, 24),
    (44, 16, 84),
    (98, 24, 110),
    (150, 40, 100),
    (199, 62, 76),
    (234, 99, 43),
    (249, 149, 20),
    (247, 205, 68),
    (252, 252, 190),
)
_PLACES = np.linspace(0, 1, len(_SCALE_ANCHORS))

# uint8 (256, 3): colour of P(error) = index / 255.
ERROR_SCALE = np.rint(
    np.stack([np.interp(np.linspace(0, 1, 256), _PLACES, channel) for channel in zip(*_SCALE_ANCHORS, strict=True)], axis=1)
).astype(np.uint8)


def render_panel(
    image: ArrayLike,
    mask: ArrayLike,
    quality: ArrayLike,
    error: ArrayLike,
    title: str,
    notes: Sequence[str] = (),
    *,
    estimated_iou: float | None = None,
    truth_quality: ArrayLike | None = None,
) -> Image.Image:
    """Image | mask over image | quality map | error map (| true quality map), with title, legend and notes, as RGB.

    `image` is float (H, W, 3) in [0, 1], all other planes are (H, W): `mask` > 0 is foreground, `quality` and `truth_quality`
    hold codes with 255 = not assessed, `error` is P(error) in [0, 1]; NaN and pixels that were not assessed have no colour. The
    title is cut off where the panel ends. Tiles are magnified by a whole factor (nearest) to at least 320 px on the longest side;
    large images are reduced to 640 px. Raises ValueError if the shapes differ or are empty.
    """
    # `fmax` takes 0 instead of NaN.
    colours = np.fmin(np.fmax(np.asarray(image, dtype=np.float32), 0), 1)
    inside, codes, probability = np.asarray(mask) > 0, np.asarray(quality), np.asarray(error, dtype=np.float32)
    true_codes = None if truth_quality is None else np.asarray(truth_quality)
    planes = [plane for plane in (inside, codes, probability, true_codes) if plane is not None]
    if (
        colours.ndim != 3
        or colours.shape[2] != 3
        or any(plane.shape != colours.shape[:2] for plane in planes)
        or not colours.size
    ):
        shapes = ", ".join(str(array.shape) for array in (colours, *planes))
        raise ValueError(f"image must be (H, W, 3) and everything else (H, W), not {shapes}.")

    size = _display_size(*inside.shape)
    photo = _resized(Image.fromarray(np.rint(colours * 255).astype(np.uint8)), size)
    assessed = (codes != NOT_ASSESSED) & ~np.isnan(probability)
    pictures = {
        "Image": photo,
        "Mask": mask_over(photo, inside, size),
        "Quality map (predicted)": quality_over(photo, codes, size),
        _ERROR: _error_picture(probability, assessed, size),
    }
    if true_codes is not None:
        pictures["Quality map (true)"] = quality_over(photo, true_codes, size)
    return _composed(pictures, title, notes, estimated_iou, _legend(codes, true_codes))


def _display_size(height: int, width: int) -> tuple[int, int]:
    """Width and height of a picture on the panel."""
    longest = max(height, width)
    factor: float = math.ceil(SMALLEST / longest) if longest < SMALLEST else min(1.0, LARGEST / longest)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Nearest neighbour upwards, so that pixels stay pixels; averages downwards, so that small errors do not vanish."""
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.NEAREST if size[0] > picture.width else Image.Resampling.BOX)


def mask_over(photo: Image.Image, inside: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """The image with the mask lightly filled and outlined in yellow, between dark lines where there is room for them.

    `photo` has the `size` (width, height) of the picture already; `inside` is (H, W) in pixels of the image.
    """
    shown = np.asarray(_resized(Image.fromarray(inside.astype(np.uint8) * 255), size)) >= 128
    pixels = np.asarray(photo, dtype=np.float32)
    fill = 0.25 * shown[..., None]
    pixels = pixels * (1 - fill) + np.asarray(_MASK_COLOUR, dtype=np.float32) * fill
    if size[0] < inside.shape[1]:
        line = shown & ~_eroded(shown, 1)
    else:
        line = shown & ~_eroded(shown, 2)
        pixels[(shown & ~_eroded(shown, 3)) | (~shown & ~_eroded(~shown, 1))] *= 0.35
    pixels[line] = _MASK_COLOUR
    return Image.fromarray(pixels.round().astype(np.uint8))


def _eroded(inside: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Pixels whose neighbours up to `radius` in the four directions are inside; beyond the border counts as inside."""
    return np.asarray(ndimage.binary_erosion(inside, iterations=radius, border_value=1))


def quality_over(photo: Image.Image, codes: NDArray[np.generic], size: tuple[int, int]) -> Image.Image:
    """Classes over the greyed image, stripes where not assessed; `codes` (H, W), the rest as in `mask_over`."""
    table = np.zeros((256, 4), np.uint8)
    for code, opacity in _OPACITY.items():
        table[code] = (*CLASS_COLOURS[code][:3], round(255 * opacity))
    shown = _resized_codes(codes, size)
    overlay = Image.fromarray(table[shown])
    # Lifted off black and dimmed below white, so that all classes stand out against shadows and bright roofs alike.
    grey = photo.convert("L").point([round(70 + 0.62 * value) for value in range(256)]).convert("RGB")
    grey.paste(overlay, (0, 0), overlay)
    return _striped_where(grey, shown == NOT_ASSESSED)


def _resized_codes(codes: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Codes (H, W) at the size (width, height) of the picture."""
    picture = Image.fromarray(codes.astype(np.uint8))
    if size[0] >= picture.width:
        return np.asarray(_resized(picture, size))
    shares = [
        weight * np.asarray(_resized(Image.fromarray((codes == code).astype(np.uint8) * 255), size), dtype=np.float32)
        for code, weight in _WEIGHT.items()
    ]
    winners: NDArray[np.uint8] = np.asarray(tuple(_WEIGHT), dtype=np.uint8)[np.argmax(shares, axis=0)]
    return winners


def _error_picture(probability: NDArray[np.float32], assessed: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    known = np.where(assessed, np.nan_to_num(probability), 0).clip(0, 1).astype(np.float32)
    share = np.asarray(_resized(Image.fromarray(assessed.astype(np.float32)), size))
    # Averaged over assessed pixels only, or borders would look better than they are.
    shown = np.asarray(_resized(Image.fromarray(known), size)) / np.maximum(share, 1e-6)
    picture = Image.fromarray(ERROR_SCALE[np.rint(shown.clip(0, 1) * 255).astype(np.uint8)])
    return _striped_where(picture, share < 0.5)


def _striped_where(picture: Image.Image, where: NDArray[np.bool_]) -> Image.Image:
    picture.paste(_stripes(picture.size), (0, 0), Image.fromarray(where.astype(np.uint8) * 255))
    return picture


def _stripes(size: tuple[int, int]) -> Image.Image:
    rows, columns = np.indices(size[::-1])
    dark = (rows + columns) % 12 < 3
    return Image.fromarray(np.where(dark[..., None], _STRIPE_COLOUR, _NO_DATA_COLOUR).astype(np.uint8))


def _composed(
    pictures: Mapping[str, Image.Image],
    title: str,
    notes: Sequence[str],
    estimated_iou: float | None,
    legend: Sequence[tuple[Image.Image, str]],
) -> Image.Image:
    """Lay out title, headings, pictures, legend and notes on white paper."""
    heading_font = _font(_HEADING_SIZE)
    columns = [max(picture.width, math.ceil(heading_font.getlength(heading)), 200) for heading, picture in pictures.items()]
    text_font = _font(_TEXT_SIZE)
    entries = [_SWATCH + 8 + math.ceil(text_font.getlength(text)) + _GAP for _, text in legend]
    inner = max(sum(columns) + _GAP * (len(columns) - 1), sum(entries))
    note_lines = [line for note in notes for line in _wrapped(note, text_font, inner)]

    title_top = _MARGIN
    heading_top = title_top + _TITLE_SIZE + 22
    picture_top = heading_top + _HEADING_SIZE + 10
    bar_top = picture_top + next(iter(pictures.values())).height + 10
    legend_top = bar_top + 44
    note_top = legend_top + 32
    height = note_top + (len(note_lines) * (_TEXT_SIZE + 6) + 4 if note_lines else -8) + _MARGIN - 4

    panel = Image.new("RGB", (inner + 2 * _MARGIN, height), _PAPER)
    draw = ImageDraw.Draw(panel)
    estimate = "" if estimated_iou is None or math.isnan(estimated_iou) else f"estimated IoU {estimated_iou:.2f}"
    title_font = _font(_TITLE_SIZE)
    estimate_width = math.ceil(title_font.getlength(estimate)) + 24 if estimate else 0
    draw.text((_MARGIN, title_top), _shortened(title, title_font, inner - estimate_width), fill=_INK, font=title_font)
    draw.text((_MARGIN + inner, title_top), estimate, fill=_INK, font=title_font, anchor="ra")
    left = _MARGIN
    for (heading, picture), column in zip(pictures.items(), columns, strict=True):
        draw.text((left, heading_top), heading, fill=_INK, font=heading_font)
        panel.paste(picture, (left, picture_top))
        right, bottom = left + picture.width, picture_top + picture.height
        draw.rectangle((left - 1, picture_top - 1, right, bottom), outline=_RULE)
        if heading == _ERROR:
            _draw_colour_bar(panel, (left, bar_top), column)
        left += column + _GAP
    left = _MARGIN
    for (swatch, text), width in zip(legend, entries, strict=True):
        panel.paste(swatch, (left, legend_top))
        draw.text((left + _SWATCH + 8, legend_top + _SWATCH // 2), text, fill=_INK, font=text_font, anchor="lm")
        left += width
    for number, line in enumerate(note_lines):
        draw.text((_MARGIN, note_top + number * (_TEXT_SIZE + 6)), line, fill=_QUIET_INK, font=text_font)
    return panel


def _draw_colour_bar(panel: Image.Image, corner: tuple[int, int], width: int) -> None:
    left, top = corner
    bar = Image.fromarray(np.broadcast_to(ERROR_SCALE, (12, 256, 3)).copy()).resize((width, 12), Image.Resampling.BILINEAR)
    panel.paste(bar, corner)
    draw = ImageDraw.Draw(panel)
    draw.rectangle((left - 1, top - 1, left + width, top + 12), outline=_RULE)
    for value, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        label = "0.5" if value == 0.5 else f"{value:.0f}"
        draw.text((left + value * width, top + 17), label, fill=_QUIET_INK, font=_font(_TEXT_SIZE - 2), anchor=anchor)


def _legend(codes: NDArray[np.generic], true_codes: NDArray[np.generic] | None) -> list[tuple[Image.Image, str]]:
    """Swatches as on the quality map, and class names with their shares of the assessed pixels."""
    entries = []
    for code in (TP, FP, FN, TN):
        opacity = _OPACITY[code]
        colour = [opacity * over + (1 - opacity) * under for over, under in zip(CLASS_COLOURS[code], _GROUND, strict=False)]
        swatch = Image.new("RGB", (_SWATCH, _SWATCH), (round(colour[0]), round(colour[1]), round(colour[2])))
        shares = _share(codes, code) if true_codes is None else f"{_share(codes, code)}, truly {_share(true_codes, code)}"
        entries.append((swatch, f"{CLASS_NAMES[code]} {CLASS_LABELS[code]}{' (no colour)' if code == TN else ''}: {shares}"))
    if any((plane == NOT_ASSESSED).any() for plane in (codes, true_codes) if plane is not None):
        entries.append((_stripes((_SWATCH, _SWATCH)), "not assessed"))
    for swatch, _ in entries:
        ImageDraw.Draw(swatch).rectangle((0, 0, _SWATCH - 1, _SWATCH - 1), outline=_QUIET_INK)
    return entries


def _share(codes: NDArray[np.generic], code: int) -> str:
    assessed = int((codes != NOT_ASSESSED).sum())
    return f"{100 * int((codes == code).sum()) / assessed:.1f} %" if assessed else "-"


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_shortened(line, font, width) for line in lines if line]
