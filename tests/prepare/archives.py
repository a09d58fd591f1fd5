"""Made-up downloads of the published data sets in their official structure; every pixel is drawn here.

    make_all(folder)["inria"]   # the folder to give as download=

Scenes may be tiny (with dataset.recipe.tile_size set small as well) or larger than the usual tiles.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
UTM = CRS.from_epsg(32633)
# Of the colours of GID's labels.
WATER, FOREST, BUILT_UP = (0, 0, 255), (0, 255, 255), (255, 0, 0)


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3): soft random colours with some truly black pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image[height // 2 : height // 2 + 3, width // 2 : width // 2 + 3] = 0
    return image


def blobs(seed: int, height: int, width: int) -> np.ndarray:
    """bool (H, W): some rectangles, one of them in the bottom right corner."""
    rng = np.random.default_rng([seed, 1])
    mask = np.zeros((height, width), bool)
    for _ in range(4):
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        mask[top : top + height // 4, left : left + width // 4] = True
    mask[-5:, -5:] = True
    return mask


def save_tif(path: Path, pixels: np.ndarray, **options) -> None:
    """A GeoTIFF of (H, W) or (H, W, bands)."""
    data = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = {"driver": "GTiff", "count": len(data), "height": data.shape[1], "width": data.shape[2], "dtype": data.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **layout, **options) as dataset:
            dataset.write(data)


def save_picture(path: Path, pixels: np.ndarray, quality: int = 95) -> None:
    """A JPEG or PNG of (H, W) or RGB (H, W, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, bgr, options)[1].tobytes())


def grey(mask: np.ndarray) -> np.ndarray:
    """A mask as 0/255."""
    return mask.astype(np.uint8) * 255


def make_inria(folder: Path, cities: Sequence[str] = CITIES[:2], scenes: int = 9, size: int = 50) -> Path:
    """`AerialImageDataset/train/{images,gt}`, and a `test` without truth; scenes in UTM with pixels of 0.3 m."""
    root = folder / "AerialImageDataset"
    for offset, city in enumerate(cities):
        for number in range(1, scenes + 1):
            seed = 100 * offset + number
            place = {"crs": UTM, "transform": from_origin(500000 + 15 * seed, 4600000, 0.3, 0.3)}
            save_tif(root / "train" / "images" / f"{city}{number}.tif", picture(seed, size, size), photometric="RGB", **place)
            save_tif(root / "train" / "gt" / f"{city}{number}.tif", grey(blobs(seed, size, size)), **place)
    save_tif(root / "test" / "images" / "bellingham1.tif", picture(999, size, size), photometric="RGB")
    return folder


def coco(path: Path, images: Mapping[str, Sequence[Sequence[Sequence[float]]]], size: int) -> None:
    """A file of annotations: for each image its objects, each a list of polygons [x, y, x, y, ...]."""
    content: dict = {
        "info": {"about": "made up"},
        "categories": [{"id": 100, "name": "building"}],
        "images": [],
        "annotations": [],
    }
    for identity, (name, objects) in enumerate(images.items()):
        content["images"].append({"id": identity, "file_name": name, "width": size, "height": size})
        for polygons in objects:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": identity,
                    "category_id": 100,
                    "iscrowd": 0,
                    "segmentation": polygons,
                }
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def square(left: float, top: float, side: float) -> list[float]:
    """A square as a COCO polygon."""
    return [left, top, left + side, top, left + side, top + side, left, top + side]


def make_crowdai(folder: Path, size: int = 300, train: int = 8, val: int = 3) -> Path:
    """`train` and `val` with `images` and annotations.

    The last two training images repeat the first two, the second of them more strongly compressed, and the last of `val`
    repeats training image 2.
    """
    pictures = {
        "train": [*range(train - 2), 0, 1],
        "val": [*range(100, 100 + val - 1), 2],
    }
    for part, seeds in pictures.items():
        objects = {}
        for number, seed in enumerate(seeds):
            name = f"{number:012d}.jpg"
            repeated = part == "train" and number == train - 1
            save_picture(folder / part / "images" / name, picture(seed, size, size), 60 if repeated else 95)
            objects[name] = [
                [square(size / 10 + seed % 7, size / 5, size / 5)],
                [square(size / 2, size / 2, size / 10), square(size * 0.7, size / 2, size / 10)],
            ]
        coco(folder / part / "annotation.json", objects, size)
        coco(folder / part / "annotation-small.json", dict(list(objects.items())[:5]), size)
    return folder


def make_deepglobe(folder: Path, images: int = 10, size: int = 48) -> Path:
    """`train/<id>_sat.jpg` and `<id>_mask.png` (RGB, also values between 0 and 255), `valid` without masks."""
    for number in range(images):
        mask = np.repeat(grey(blobs(number, size, size))[..., None], 3, axis=2)
        mask[0, :4] = [[100] * 3, [127] * 3, [128] * 3, [200] * 3]
        save_picture(folder / "train" / f"{1000 + number}_sat.jpg", picture(number, size, size))
        save_picture(folder / "train" / f"{1000 + number}_mask.png", mask)
    save_picture(folder / "valid" / "5_sat.jpg", picture(5, size, size))
    return folder


def make_gid(folder: Path, scenes: int = 6, height: int = 60, width: int = 72) -> Path:
    """`Large-scale Classification_5classes/{image_RGB,label_5classes}` with labels in colours."""
    root = folder / "Large-scale Classification_5classes"
    for number in range(scenes):
        name = f"GF2_PMS1__L1A000056453{number}-MSS1"
        label = np.zeros((height, width, 3), np.uint8)
        label[: height // 3], label[height // 3 : height // 2] = FOREST, BUILT_UP
        label[blobs(number, height, width)] = WATER
        save_tif(root / "image_RGB" / f"{name}.tif", picture(number, height, width), photometric="RGB")
        save_tif(root / "label_5classes" / f"{name}_label.tif", label, photometric="RGB")
    return folder


def make_aqs(folder: Path, parts: Mapping[str, int], size: int = 512) -> Path:
    """`[<part>/]{image,label_checked,label_uncheck}/<part>_<number>.tif`; an empty name of a part is none."""
    for offset, (part, count) in enumerate(parts.items()):
        for number in range(count):
            seed = 50 * offset + number
            checked = blobs(seed, size, size)
            for layer, pixels in (
                ("image", picture(seed, size, size)),
                ("label_checked", grey(checked)),
                ("label_uncheck", grey(np.roll(checked, 3, axis=1))),
            ):
                save_tif(folder / part / layer / f"{part or 'tile'}_{number}.tif", pixels)
    return folder


def make_baqs(folder: Path, size: int = 512) -> Path:
    """`BLCDataset/{train,val}`."""
    make_aqs(folder / "BLCDataset", {"train": 5, "val": 2}, size)
    return folder


def make_waqs(folder: Path, size: int = 512) -> Path:
    """`train512` and `test512`."""
    return make_aqs(folder, {"train512": 5, "test512": 2}, size)


def make_massachusetts(folder: Path, size: int = 60) -> Path:
    """`mass_buildings/{train,valid,test}/{sat/*.tiff,map/*.tif}`; buildings are red on black."""
    place = {"crs": CRS.from_epsg(26986), "transform": from_origin(230000, 900000, 1, 1)}
    for offset, (part, count) in enumerate({"train": 3, "valid": 1, "test": 2}.items()):
        for number in range(count):
            seed = 10 * offset + number
            name = f"2282{offset}{number}_15"
            truth = np.zeros((size, size, 3), np.uint8)
            truth[blobs(seed, size, size)] = (255, 0, 0)
            part_folder = folder / "mass_buildings" / part
            save_tif(part_folder / "sat" / f"{name}.tiff", picture(seed, size, size), photometric="RGB", **place)
            save_tif(part_folder / "map" / f"{name}.tif", truth, photometric="RGB", **place)
    return folder


def make_all(folder: Path) -> dict[str, Path]:
    """A download of every published data set that fits the usual sizes of tiles; gives the folder of each by name.

    Inria's scenes of 330 px become 2 x 2 tiles of 320 px with padding, the others a few tiles.
    """
    return {
        "baqs": make_baqs(folder / "baqs"),
        "crowdai": make_crowdai(folder / "crowdai"),
        "deepglobe": make_deepglobe(folder / "deepglobe", size=520),
        "gid": make_gid(folder / "gid", height=300, width=520),
        "inria": make_inria(folder / "inria", size=330),
        "massachusetts": make_massachusetts(folder / "massachusetts", size=520),
        "waqs": make_waqs(folder / "waqs"),
    }
