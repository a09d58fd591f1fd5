"""Scenes of random pixels on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

PLACE = {"crs": "EPSG:32736", "transform": from_origin(500_000, 9_000_000, 0.5, 0.5)}
# Of scenes a few hundred rows high that are to be cut into several bands.
WINDOWS = "tiling.window=64", "tiling.overlap=32"


def write_tif(path: Path, pixels: NDArray[Any], **options: Any) -> None:
    """(bands, H, W) as GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    with rasterio.open(path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=pixels.dtype, **options) as out:
        out.write(pixels)


def write_scenes(folder: Path, heights: Mapping[str, int]) -> None:
    """Images of 80 columns and so many rows, and masks of them, as image/NAME.tif and mask/NAME.tif."""
    rng = np.random.default_rng(0)
    for name, height in heights.items():
        write_tif(folder / "image" / f"{name}.tif", rng.integers(1, 255, (3, height, 80)).astype(np.uint8), **PLACE)
        write_tif(folder / "mask" / f"{name}.tif", (rng.random((1, height, 80)) > 0.6).astype(np.uint8), **PLACE)
