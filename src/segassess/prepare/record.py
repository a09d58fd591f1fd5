"""The record of scenes that are done, which makes a preparation resumable."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segassess.errors import RequestError
from segassess.files import write_text
from segassess.prepare.source import CHECKED, IMAGE, SPLITS, TRUTH, UNCHECKED
from segassess.prepare.tiler import CutScene

RECORD_FILE = "prepared.jsonl"


class Record:
    """`<root>/prepared.jsonl`: the settings in its first line, then one line per finished scene.

    `overwrite` drops the record and the tiles of an earlier preparation. Raises RequestError if `root` holds tiles of another
    origin or (without `overwrite`) of other settings, or cannot be written.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
        self.root, self.file = root, root / RECORD_FILE
        self.done: dict[str, CutScene] = {}
        # As JSON returns it, so that the two can be compared.
        self.settings = json.loads(json.dumps(settings))
        lines = _whole_lines(self.file)
        if not lines and any((root / split / IMAGE).is_dir() for split in SPLITS):
            raise RequestError(
                f"{root} holds tiles that were not prepared from an official download; choose another dataset.root."
            )
        if lines and overwrite:
            _remove_tiles(root)
        elif lines:
            if lines[0] != self.settings:
                raise RequestError(
                    f"{root} was prepared with {_difference(lines[0], self.settings)}; choose another dataset.root, "
                    "or set overwrite=true to replace it."
                )
            self.done = {line["scene"]: _cut_scene(line) for line in lines[1:]}
        self._write()

    def add(self, scene: CutScene) -> None:
        """Note a scene whose tiles are all written."""
        self.done[scene.scene] = scene
        with self.file.open("a", encoding="utf-8") as file:
            file.write(_line(asdict(scene)))
            file.flush()
            os.fsync(file.fileno())

    def keep(self, plan: Mapping[str, tuple[str, str, str]]) -> None:
        """Forget scenes that lack a tile or whose (split, group, region) differs from the plan."""
        stale = [
            scene
            for name, scene in self.done.items()
            if plan.get(name) != (scene.split, scene.group, scene.region)
            or not all(path.is_file() for path in scene.files(self.root))
        ]
        for scene in stale:
            for path in scene.files(self.root):
                path.unlink(missing_ok=True)
            del self.done[scene.scene]
        if stale:
            self._write()

    def _write(self) -> None:
        write_text(self.file, "".join(map(_line, [self.settings, *map(asdict, self.done.values())])))


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _cut_scene(line: Mapping[str, Any]) -> CutScene:
    return CutScene(**{**line, "layers": tuple(line["layers"]), "tiles": tuple(line["tiles"])})


def _whole_lines(file: Path) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file, up to a line that was cut short."""
    if not file.is_file():
        return []
    objects = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            objects.append(json.loads(line))
        except ValueError:
            break
    return objects


def _remove_tiles(root: Path) -> None:
    for split in SPLITS:
        for layer in (IMAGE, TRUTH, CHECKED, UNCHECKED):
            for path in (root / split / layer).glob("*.tif"):
                path.unlink()


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {old.get(key)} instead of {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key))
