"""An open image of any size and its masks, on one grid."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segassess.errors import InputError
from segassess.options.output import OutputSettings as OutputSettings
from segassess.raster import Grid, ImageFile, MaskFile, Rendering, VectorMask, is_remote, open_image, open_mask
from segassess.raster.urls import edition, is_url
from segassess.raster.vectors import LAYER

# Where arrays lie that are read as files; they are named after their content.
IN_MEMORY = "/vsimem/"
# Columns and rows that are read at once for an overview.
_CHUNK = 4096
_STEP = 512


@dataclass(frozen=True)
class Scene:
    """An open image and its masks by source."""

    image: ImageFile
    masks: Mapping[str, MaskFile]

    @property
    def grid(self) -> Grid:
        """The grid of the image."""
        return self.image.grid

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid.height, self.grid.width

    def layer(self, source: str) -> VectorMask | None:
        """The polygons of a mask that was given as such; None for a raster."""
        mask = self.masks[source]
        return mask if isinstance(mask, VectorMask) else None

    def overview_size(self, pixels: int) -> tuple[int, int]:
        """Rows and columns of a reduced copy of at most about `pixels` pixels."""
        height, width = self.size
        factor = max(1.0, math.sqrt(height * width / pixels))
        return max(1, round(height / factor)), max(1, round(width / factor))

    def chosen(self, size: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the scene that a reduced copy of a `size` keeps."""
        (height, width), (rows, columns) = self.size, size
        return np.arange(rows) * height // rows, np.arange(columns) * width // columns

    def overview(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """The image, float32 (h, w, 3) in [0, 1], reduced to a `size` by leaving out pixels."""
        rows, columns = self.chosen(size)
        height, width = self.size
        parts = [slice(left, min(left + _CHUNK, width)) for left in range(0, width, _CHUNK)]
        picked = [(part, columns[(columns >= part.start) & (columns < part.stop)] - part.start) for part in parts]
        pixels = []
        for top in range(0, height, _STEP):
            at = rows[(rows >= top) & (rows < top + _STEP)] - top
            if len(at):
                window = slice(top, min(top + _STEP, height))
                pixels.append(np.hstack([self.image.read(window, part)[0][np.ix_(at, chosen)] for part, chosen in picked]))
        return np.concatenate(pixels)

    @property
    def notes(self) -> list[str]:
        """What had to be guessed, each with the path of its file."""
        files: list[ImageFile | MaskFile] = [self.image, *self.masks.values()]
        return [f"{file.path}: {note}" for file in files for note in file.notes]


@dataclass(frozen=True)
class Source:
    """A mask to judge; `label` is the foreground value of a raster of classes."""

    path: str
    label: int | None = None


def identity(path: str) -> dict[str, Any] | str:
    """What tells an input from others and from its own earlier editions; raises InputError if the file is missing."""
    if path.startswith(IN_MEMORY):
        return Path(path).name
    if is_url(path):
        return {"path": path, **edition(path.split(LAYER)[0])}
    if is_remote(path):
        return path
    file = path.split(LAYER)[0]
    try:
        status = Path(file).stat()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    return {"file": str(Path(file).resolve()), "path": path, "size": status.st_size, "time": status.st_mtime_ns}


@contextmanager
def open_scene(image: str, masks: Mapping[str, Source], rendering: Rendering) -> Iterator[Scene]:
    """Open an image and its masks by source; raises InputError if one of them cannot be used."""
    with ExitStack() as stack:
        opened = stack.enter_context(open_image(image, rendering))
        files = {name: stack.enter_context(open_mask(each.path, opened.grid, each.label)) for name, each in masks.items()}
        yield Scene(opened, files)
