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
from segassess.prepare.rasters import SceneImage, opened_image
from segassess.prepare.source import IMAGE, Scene

# A tile is read whole, so its compressed blocks are as large as the tile, up to this.
_LARGEST_BLOCK = 512
_BLOCK_STEP = 16


@dataclass(frozen=True)
class CutScene:
    """What became of a scene.

    Attributes:
        scene: its name.
        split: of the data set.
        group: what must never be divided between splits.
        region: where it lies.
        layers: folders that each tile has a file in.
        tiles: names of the tiles.
        pixels: number of pixels with data.
        foreground: number of those that are foreground in the truth.
    """

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
    """Where a tile's file lies in the native layout."""
    return root / split / layer / f"{name}.tif"


def cut(scene: Scene, root: Path, tile_size: int) -> CutScene:
    """Cut a scene into tiles of `tile_size` and write them; only a row of tiles is in memory at a time.

    Tiles that reach over the edge are padded with 0: in the image these pixels are masked, in masks they are background. Tiles
    without any data are left out. A scene of more than one tile gives `<scene>_<row>_<column>`, counted from 0.

    Raises:
        InputError: if image or mask cannot be used; no tile of this scene is left then.
        RequestError: if `root` cannot be written to.
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
    """A list of files that vanish again if the block ends early."""
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
    """A compressed GeoTIFF of uint8 (bands, H, W), with a mask of its own where not all pixels are valid."""
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
