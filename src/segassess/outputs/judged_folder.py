"""Reads what `predict.py` left: its record, and the folder of each mask."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from segassess.errors import RequestError
from segassess.raster import Rendering
from segassess.raster.pairs import find_pairs, safe_name

# Rows of a map that are in memory at once.
_ROWS = 512


@dataclass(frozen=True)
class JudgedFolder:
    """Where the maps and tables of one mask lie; `name` is that of the image, `source` that of the mask."""

    name: str
    source: str
    folder: Path

    @property
    def title(self) -> str:
        """One line that names image and mask."""
        return f"{self.name}, mask of {self.source}"

    def require(self, file: str) -> Path:
        """Path of one of its files; RequestError if it is not there."""
        path = self.folder / file
        if not path.is_file():
            raise RequestError(f"{self.folder} has no {file}; run predict.py again with the same output_dir.")
        return path


def read_record(predicted: Path) -> dict[str, Any]:
    """The content of `run.json`; RequestError if the folder is not that of a finished `predict.py`."""
    path = predicted / "run.json"
    if not path.is_file() or not (predicted / "scores.csv").is_file():
        raise RequestError(f"{predicted} has no run.json and scores.csv; give the output_dir of a finished predict.py.")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def judged_folders(predicted: Path) -> list[JudgedFolder]:
    """All judged masks, worst first; RequestError if there is no table of them."""
    read_record(predicted)
    found = []
    for row in table_rows(predicted / "scores.csv"):
        alone = predicted / row["name"]
        folder = alone if (alone / "tiles.csv").is_file() else alone / safe_name(row["source"])
        found.append(JudgedFolder(row["name"], row["source"], folder))
    return found


def of_one_source(predicted: Path, source: str | None) -> list[JudgedFolder]:
    """All judged masks of a source, None being the only one; RequestError if there are several, or none of that name."""
    masks = judged_folders(predicted)
    sources = sorted({mask.source for mask in masks})
    wanted = sources[0] if source is None and len(sources) == 1 else source
    if wanted not in sources:
        raise RequestError(f"{predicted} has masks of {', '.join(sources)}; give one of them as source=NAME.")
    return [mask for mask in masks if mask.source == wanted]


def rows_of_maps(quality: Any, error: Any) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.float64]]]:
    """First row, quality codes and P(error) (any value where not assessed), both (h, W), of the open maps, band by band."""
    scale = float(error.scales[0])
    for top in range(0, quality.height, _ROWS):
        window = Window(0, top, quality.width, min(_ROWS, quality.height - top))
        yield top, quality.read(1, window=window), error.read(1, window=window).astype(np.float64) * scale


def images_of(record: Mapping[str, Any], image: str | None = None) -> dict[str, str]:
    """Path of the image of each name, by the rule that named them; `image` is given as to `predict.py`, None as in the record."""
    config = record["config"]
    found = find_pairs(image or config["image"], config["mask"])
    return {pair.name: pair.image for pair in found.pairs}


def mask_of(record: Mapping[str, Any], judged: JudgedFolder) -> str:
    """Path of the mask as it was given to `predict.py`; RequestError if it is not there any more."""
    config = record["config"]
    for pair in find_pairs(config["image"], config["mask"]).pairs:
        if pair.name == judged.name and judged.source in pair.masks:
            return pair.masks[judged.source]
    raise RequestError(f"The mask of {judged.title} was not found where it was judged; say where it is now.")


def rendering_of(record: Mapping[str, Any]) -> Rendering:
    """How the images were shown to the assessor."""
    stored = record["config"].get("rendering", {})
    options: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    return Rendering(**options)


def table_rows(path: Path) -> Sequence[dict[str, Any]]:
    """Rows of a CSV that segassess wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
