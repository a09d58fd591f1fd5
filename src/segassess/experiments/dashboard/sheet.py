"""All figures of a run on one picture."""

from pathlib import Path

from PIL import Image

from segassess.experiments.dashboard.board import FIGURES
from segassess.files import atomic_path

NAME = "dashboard.png"
# Figures by row; missing ones are left out.
ROWS = (("history",), ("tiles_best",), ("confusion", "reliability", "review"))
_WIDTH, _GAP = 1260, 16


def write_sheet(folder: Path) -> Path | None:
    """Join the figures of a run's folder as `dashboard.png` and return its path, or None without figures."""
    paths = [[folder / FIGURES / f"{name}.png" for name in names] for names in ROWS]
    found = [[Image.open(path).convert("RGB") for path in row if path.is_file()] for row in paths]
    rows = [_side_by_side(pictures) for pictures in found if pictures]
    if not rows:
        return None
    sheet = Image.new("RGB", (_WIDTH, sum(row.height + _GAP for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + _GAP
    with atomic_path(folder / NAME) as temporary:
        # A palette quarters the size; the median cut would give thin lines wrong colours.
        palette = sheet.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        palette.save(temporary, optimize=True)
    return folder / NAME


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Pictures at one height that together fill the width, or at their own size if narrower."""
    height = (_WIDTH - _GAP * (len(pictures) - 1)) / sum(picture.width / picture.height for picture in pictures)
    height = min(height, max(picture.height for picture in pictures))
    row, left = Image.new("RGB", (_WIDTH, round(height)), "white"), 0
    for picture in pictures:
        resized = picture.resize((round(picture.width * height / picture.height), round(height)), Image.Resampling.LANCZOS)
        row.paste(resized, (left, 0))
        left += resized.width + _GAP
    return row
