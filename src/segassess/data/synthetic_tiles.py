"""The default data set: synthetic scenes, generated once into the folder layout of `FolderTiles`."""

from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from segassess.data.sources import DISCRIMINANT, fit_discriminant
from segassess.data.tiles import FolderTiles, Tile
from segassess.errors import ConfigError, RequestError
from segassess.files import atomic_path
from segassess.synthetic import OBJECTS, make_scene

GENERATOR_VERSION = 1  # part of the folder's name, so that scenes of different generators never mix


class SyntheticTiles(FolderTiles):
    """Synthetic aerial scenes with truth, and masks of the classical segmenter as the source "discriminant".

    `train`, `valid` and `test` are numbers of scenes, `size` is their side in pixels; `object` is what the truth shows. Scenes
    lie in a subfolder of `root` named after these parameters.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        train: int = 120,
        valid: int = 24,
        test: int = 24,
        size: int = 256,
        object: str = "building",
        seed: int = 1,
    ) -> None:
        if object not in OBJECTS:
            raise ConfigError(f"dataset.object must be one of {', '.join(OBJECTS)}, not {object!r}.")
        super().__init__(Path(root) / f"{object}_{size}px_seed{seed}_v{GENERATOR_VERSION}")
        self.counts = {"train": train, "valid": valid, "test": test}
        self.size, self.object, self.seed = size, object, seed

    def tiles(self, split: str) -> list[Tile]:
        """See `TileSet.tiles`; generates missing scenes."""
        if split not in self.counts:
            raise RequestError(f"Synthetic scenes have the splits {', '.join(self.counts)}, not {split!r}.")
        names = [f"{split}_{number:04d}" for number in range(self.counts[split])]
        folder = self.root / split
        missing = [name for name in names if not (folder / "binary_map" / f"{name}.png").is_file()]
        if missing:
            offset = 1_000_000 * (1 + list(self.counts).index(split))
            for name in track(missing, description=f"Making {split} scenes"):
                self._write(folder, name, self.seed * 10_000_000 + offset + int(name.rpartition("_")[2]))
        if split != "train":
            self._segment(split, names)
        wanted = set(names)
        return [tile for tile in super().tiles(split) if tile.name in wanted]

    def _segment(self, split: str, names: list[str]) -> None:
        """Draw masks of a segmenter that learned from the training scenes."""
        folder = self.root / split
        missing = [name for name in names if not (folder / "seg_preds" / DISCRIMINANT / f"{name}.png").is_file()]
        if missing:
            segmenter = fit_discriminant(self.tiles("train"), self.seed)
            for name in track(missing, description=f"Segmenting {split} scenes"):
                with Image.open(folder / "image" / f"{name}.png") as image:
                    mask = segmenter.predict(np.asarray(image))
                _save(folder / "seg_preds" / DISCRIMINANT / f"{name}.png", mask.astype(np.uint8) * 255)

    def _write(self, folder: Path, name: str, seed: int) -> None:
        scene = make_scene(seed, self.size)
        # The truth comes last and marks a complete scene.
        _save(folder / "image" / f"{name}.png", scene.image)
        _save(folder / "binary_map" / f"{name}.png", scene.truth[self.object].astype(np.uint8) * 255)


def _save(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    # Several processes may make the same scenes at once.
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
