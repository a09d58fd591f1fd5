"""CrowdAI (AIcrowd) mapping challenge: images of 300 x 300 px with buildings as COCO polygons."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segassess.errors import ConfigError, RequestError
from segassess.prepare.duplicates import HASH_BITS, clusters, distance, perceptual_hashes
from segassess.prepare.readers import PolygonMask
from segassess.prepare.source import Duplicate, OfficialSource, Scene, Survey, Track, assign_splits, plain_name

# The organisers' parts and what they are used as.
_PARTS = {"train": "train", "val": "test"}


class CrowdAI(OfficialSource):
    """`train/` and `val/`, each with `images/*.jpg` and `annotations` ("annotation.json" or "annotation-small.json").

    Images whose perceptual hashes differ in at most `max_distance` bits (0 to 63) form a group. One image of each is kept, from
    `train` if possible, so `val` repeats nothing of `train`. With `deduplicate=False` all are kept, and groups of training
    images stay undivided. `valid` is a share of the training groups, chosen by `seed`.
    """

    title = "train and val of the CrowdAI mapping challenge"
    folders = ("", "raw", "data")

    def __init__(self, url: str, valid: float, seed: int, annotations: str, deduplicate: bool, max_distance: int) -> None:
        super().__init__(url)
        if not 0 <= max_distance < HASH_BITS:
            raise ConfigError(f"dataset.prepare.max_distance must be from 0 to {HASH_BITS - 1} bits, not {max_distance}.")
        self.needs = tuple(f"{part}/{need}" for part in _PARTS for need in (annotations, "images"))
        self.valid, self.seed, self.annotations = valid, seed, annotations
        self.deduplicate, self.max_distance = deduplicate, max_distance

    def survey(self, download: Path, track: Track) -> Survey:
        """See `OfficialSource.survey`."""
        folder = self.locate(download)
        images = [image for part in _PARTS for image in _annotated(folder / part, self.annotations)]
        hashes = perceptual_hashes([image.image for image in images], track)
        first = clusters(hashes, self.max_distance)
        # A group of training images is named by its first; a test image that repeats one is dropped or, if asked for, kept apart.
        groups = [
            images[place].name if images[place].split == image.split else image.name
            for image, place in zip(images, first, strict=True)
        ]
        learned = [group for image, group in zip(images, groups, strict=True) if image.split == "train"]
        splits = assign_splits(learned, {"valid": self.valid}, self.seed)
        scenes, repeats = [], []
        for position, (image, group, place) in enumerate(zip(images, groups, first, strict=True)):
            if place == position or not self.deduplicate:
                split = splits[group] if image.split == "train" else image.split
                scenes.append(replace(image, group=group, split=split))
            else:
                bits = distance(hashes[place] or 0, hashes[position] or 0)
                repeats.append(Duplicate(place, images[place].name, image.name, image.split, bits))
        return Survey(scenes, repeats, [self._summary(images, first)])

    def _summary(self, images: Sequence[Scene], first: Sequence[int]) -> str:
        splits = Counter(image.split for image in images)
        repeats = Counter(
            (image.split, images[place].split) for place, image in zip(first, images, strict=True) if image is not images[place]
        )
        verdict = "left out" if self.deduplicate else "kept, so results on this test split say little"
        return (
            f"{repeats['train', 'train']} of {splits['train']} training images repeat others, {repeats['test', 'train']} of "
            f"{splits['test']} test images occur in training and {repeats['test', 'test']} repeat other test images: {verdict}."
        )


def _annotated(folder: Path, annotations: str) -> Iterator[Scene]:
    """Images of a part with their polygons, ordered by file name."""
    file = folder / annotations
    # Decoded object by object: as one structure the whole file takes several times its size.
    text = file.read_text(encoding="utf-8")
    polygons: dict[int, list[np.ndarray[Any, np.dtype[np.float32]]]] = {}
    try:
        for annotation in _elements(text, "annotations"):
            drawn = polygons.setdefault(annotation["image_id"], [])
            drawn += [np.asarray(part, np.float32).reshape(-1, 2) for part in annotation["segmentation"]]
        names = sorted((image["file_name"], image["id"]) for image in _elements(text, "images"))
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{file} holds no complete COCO polygons; download it again.") from error
    for name, identity in names:
        truth = PolygonMask(polygons.get(identity, []))
        plain = f"{folder.name}_{plain_name(Path(name).stem)}"
        yield Scene.alone(plain, "crowdai", _PARTS[folder.name], folder / "images" / name, truth)


def _elements(text: str, key: str) -> Iterator[dict[str, Any]]:
    """Elements of the list at `key` of a JSON object; raises ValueError if it is missing or cut short."""
    start = re.search(rf'"{key}"\s*:\s*\[\s*', text)
    if start is None:
        raise ValueError(key)
    decoder, between, place = json.JSONDecoder(), re.compile(r"\s*,?\s*"), start.end()
    while text[place : place + 1] != "]":
        element, place = decoder.raw_decode(text, place)
        yield element
        place = between.match(text, place).end()  # type: ignore[union-attr]
