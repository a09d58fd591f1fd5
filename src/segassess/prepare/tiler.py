"""Cuts a scene into tiles of the native layout."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from segassess.files import atomic_path
from segassess.prepare.readers import SceneImage, opened_image
from segassess.prepare.source import IMAGE, Scene

# A tile is read whole, so its compressed blocks are as large as the tile, up to this.
_LARGEST_BLOCK = 512
_BLOCK_STEP = 16


@dataclass(frozen=True)
class CutScene:
    """A finished scene; `layers` are folders with a file of each tile, `pixels` have data, `foreground` counts among them."""

    scene: str
    split: str
    group: str
    region: str
    layers: tuple[str, ...]
    tiles: tuple[str, ...]
    pixels: int
    foreground: int

    def files(self, root: Path) -> list[Path]:
        """All files of the tiles."""
        return [tile_path(root, self.split, layer, name) for layer, name in product(self.layers, self.tiles)]


def tile_path(root: Path, split: str, layer: str, name: str) -> Path:
    """Path of a tile in the native layout."""
    return root / split / layer / f"{name}.tif"


def cut(scene: Scene, root: Path, tile_size: int) -> CutScene:
    """Cut a scene into tiles of `tile_size` px and write them, with one row of tiles in memory at a time.

    Tiles across the edge are padded with 0, which is masked in images and background in masks. Tiles without data are left out.
    Several tiles are named `<scene>_<row>_<column>`, counted from 0. Raises InputError, and removes the scene's tiles, if image
    or mask cannot be used; RequestError if `root` cannot be written.
    """
    layers = (*scene.masks, IMAGE)
    tiles: list[str] = []
    pixels = foreground = 0
    with opened_image(scene.image) as image, _all_or_none() as written:
        single = image.height <= tile_size and image.width <= tile_size
        for top in range(0, image.height, tile_size):
            bottom = min(top + tile_size, image.height)
            colours, valid = image.rows(top, bottom)
            masks = {layer: reader.rows(top, bottom, image.height, image.width) & valid for layer, reader in scene.masks.items()}
            truth = next(iter(masks.values()))
            pixels, foreground = pixels + int(valid.sum()), foreground + int(truth.sum())
            for left in range(0, image.width, tile_size):
                columns = np.s_[..., left : left + tile_size]
                if not valid[columns].any():
                    continue
                name = scene.name if single else f"{scene.name}_{top // tile_size:02d}_{left // tile_size:02d}"
                place = _georeference(image, left, top)
                # The image comes last: where it is, its masks are.
                for layer, mask in masks.items():
                    data = _padded(mask[columns].astype(np.uint8) * 255, tile_size)
                    _write(tile_path(root, scene.split, layer, name), _encoded(data[None], place), written)
                inside = _padded(valid[columns], tile_size)
                tile = _encoded(_padded(colours[columns], tile_size), place, inside)
                _write(tile_path(root, scene.split, IMAGE, name), tile, written)
                tiles.append(name)
    return CutScene(scene.name, scene.split, scene.group, scene.region, layers, tuple(tiles), pixels, foreground)


@contextmanager
def _all_or_none() -> Iterator[list[Path]]:
    """A list of files that are removed if the block raises."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes, written: list[Path]) -> None:
    written.append(path)
    with atomic_path(path) as beside:
        beside.write_bytes(content)


def _padded(data: NDArray[Any], size: int) -> NDArray[Any]:
    """(..., H, W) padded with 0 at bottom and right to (..., size, size)."""
    missing = [(0, 0)] * (data.ndim - 2) + [(0, size - length) for length in data.shape[-2:]]
    return np.pad(data, missing)


def _georeference(image: SceneImage, left: int, top: int) -> Mapping[str, Any]:
    """Keywords for the tile whose outer corner lies at this pixel; empty without a georeference."""
    if image.georeference is None:
        return {}
    t = image.georeference.transform
    corner = Affine(t.a, t.b, t.a * left + t.b * top + t.c, t.d, t.e, t.d * left + t.e * top + t.f)
    return {"crs": image.georeference.crs, "transform": corner}


def _encoded(data: NDArray[np.uint8], place: Mapping[str, Any], valid: NDArray[np.bool_] | None = None) -> bytes:
    """A compressed GeoTIFF of uint8 (bands, H, W), with an internal mask where some pixels are invalid."""
    bands, height, width = data.shape
    block = min(_LARGEST_BLOCK, -(-max(height, width) // _BLOCK_STEP) * _BLOCK_STEP)
    layout = {"driver": "GTiff", "tiled": True, "blockxsize": block, "blockysize": block, "compress": "deflate"}
    layout |= {"count": bands, "height": height, "width": width, "dtype": "uint8", **place}
    if bands == 3:
        layout |= {"photometric": "RGB", "predictor": 2}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile(ext=".tif") as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**layout) as dataset:
            dataset.write(data)
            if valid is not None and not valid.all():
                dataset.write_mask(valid)
        return bytes(memory.getbuffer())
