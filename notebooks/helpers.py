"""What the notebooks share: pictures side by side, scenes as a data set, and the project's scripts."""

import io
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from IPython.display import Image as Shown
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from segassess.synthetic import Scene, make_scene
from segassess.synthetic.perturbations import RECIPES, perturb

# Generated scenes at this ground sampling distance (metres) look most like what the bundled assessor has learned from.
GSD = 0.15


def side_by_side(pictures: Mapping[str, ArrayLike | Image.Image], width: int = 224, per_row: int = 4, quality: int = 74) -> Shown:
    """Pictures with captions above them, as one small JPEG.

    Args:
        pictures: by caption: Pillow images; bool or uint8 (H, W), uint8 (H, W, 3), or floats in [0, 1] of these shapes.
        width: of each, in pixels.
        per_row: so many at most.
        quality: of the JPEG.
    """
    font = ImageFont.load_default(14)
    shown = [(caption, _picture(content)) for caption, content in pictures.items()]
    shown = [(caption, each.resize((width, round(each.height * width / each.width)))) for caption, each in shown]
    height = max(each.height for _, each in shown) + 24
    columns = min(per_row, len(shown))
    sheet = Image.new("RGB", (columns * (width + 8) - 8, math.ceil(len(shown) / columns) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (caption, each) in enumerate(shown):
        left, top = index % columns * (width + 8), index // columns * height
        draw.text((left, top + 3), caption, fill="black", font=font)
        sheet.paste(each, (left, top + 22))
    return jpeg(sheet, quality)


def jpeg(picture: Image.Image, quality: int = 80, width: int = 1280) -> Shown:
    """A picture as a JPEG of at most so many pixels width."""
    picture = picture.convert("RGB")
    picture.thumbnail((width, 10_000), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Shown(stream.getvalue(), format="jpeg")


def _picture(content: ArrayLike | Image.Image) -> Image.Image:
    if isinstance(content, Image.Image):
        return content.convert("RGB")
    pixels = np.asarray(content)
    if pixels.dtype == bool or pixels.dtype.kind == "f":
        pixels = np.rint(np.nan_to_num(pixels.astype(np.float32)).clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def scenes(first_seed: int, count: int, size: int = 256) -> list[Scene]:
    """Generated scenes with houses: seeds from the first one on, without those that have hardly any, or little else."""
    found, seed = [], first_seed
    while len(found) < count:
        scene = make_scene(seed, size, GSD)
        if 0.08 < scene.truth["building"].mean() < 0.5:
            found.append(scene)
        seed += 1
    return found


def write_tiles(root: Path, counts: Mapping[str, int], recipes: tuple[str, ...], first_seed: int, size: int = 256) -> None:
    """Scenes in the native folder layout: `<split>/image`, `<split>/binary_map` and `<split>/seg_preds/<recipe>`.

    Args:
        root: of the data set.
        counts: scenes by split.
        recipes: sources of masks, each made by damaging the truth.
        first_seed: of the scenes; every split has its own.
        size: side of a scene in pixels.
    """
    for offset, (split, count) in enumerate(counts.items()):
        for number, scene in enumerate(scenes(first_seed + 1000 * offset, count, size)):
            truth = scene.truth["building"]
            planes = {"image": scene.image, "binary_map": truth}
            for index, recipe in enumerate(recipes):
                rng = np.random.default_rng([first_seed, offset, number, index])
                planes[f"seg_preds/{recipe}"] = perturb(truth, scene.image, rng, RECIPES[recipe])
            for folder, pixels in planes.items():
                path = root / split / folder / f"{number:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels).save(path)


def run(command: str, last: int = 12) -> None:
    """Run `python <script> ...` or `segassess <command> ...` and print the last lines of what it says.

    Raises:
        RuntimeError: if it fails.
    """
    program, *arguments = shlex.split(command)
    arguments = {"python": [], "segassess": ["-m", "segassess"]}[program] + arguments
    # A kernel asks its children for colours, which would be written as control characters.
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment | {"COLUMNS": "110"})
    if result.returncode:
        raise RuntimeError(f"{command} ended with {result.returncode}: {result.stderr[-2000:]}")
    # Where this notebook lies says nothing to a reader, nor does the time of a line of the log.
    said = result.stdout.replace(f"{Path.cwd()}{os.sep}", "")
    lines = [re.sub(r"^\[[\d :,-]+\]", "", line).rstrip() for line in said.splitlines()]
    print("\n".join(lines[-last:]))
