"""What one run of `predict.py` asks for: how masks are judged, and what is left behind."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from segassess.cli import build
from segassess.errors import InputError
from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.outputs.tables import require_parquet
from segassess.predict.scene import OutputSettings, SceneJudge
from segassess.predict.tiling import Tiling
from segassess.raster import Rendering, is_remote
from segassess.raster.pairs import Pair
from segassess.raster.vectors import LAYER


@dataclass(frozen=True)
class Source:
    """A mask that is judged: its path, and the value that is foreground if it is a raster of classes."""

    path: str
    label: int | None = None


@dataclass(frozen=True)
class Request:
    """How a run judges, and what it leaves behind.

    Attributes:
        judge: how scenes are judged.
        loaded: the assessor and what it is.
        panel: whether a picture is written as well.
        report: whether the review page is written as well.
        report_pictures: of at most so many tiles, the worst.
        classes: values of masks that are rasters of classes, each judged against the rest; empty: masks are binary.
    """

    judge: SceneJudge
    loaded: LoadedAssessor
    panel: bool
    report: bool = False
    report_pictures: int = 0
    classes: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: DictConfig) -> "Request":
        """Read a config; loads the assessor, onto the CPU.

        Raises:
            RequestError: if a value is not allowed.
        """
        loaded = build.stored_assessor(config)
        options = build.plain(config)
        if options["output"]["parquet"]:
            require_parquet()
        rendering: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options["rendering"].items()
        }
        judge = SceneJudge.of(
            loaded,
            torch.device("cpu"),
            tiling=Tiling(**options["tiling"]),
            rendering=Rendering(**rendering),
            output=OutputSettings(**options["output"]),
            probe_squares=bool(options["probe_squares"]),
        )
        classes = tuple(options["classes"] or ())
        return cls(judge, loaded, bool(config.panel), bool(config.report), int(config.report_pictures), classes)

    def on(self, device: torch.device) -> "Request":
        """The same on a device; moves the assessor."""
        self.judge.assessor.to(device)
        return replace(self, judge=replace(self.judge, device=device))

    def sources(self, pair: Pair) -> dict[str, Source]:
        """Path, and class if there are classes, of each mask that is judged."""
        if not self.classes:
            return {source: Source(path) for source, path in pair.masks.items()}
        before = {source: "" if len(pair.masks) == 1 else f"{source}_" for source in pair.masks}
        return {
            f"{before[source]}class_{label}": Source(path, label) for source, path in pair.masks.items() for label in self.classes
        }

    def fingerprint(self, pair: Pair) -> str:
        """What a result depends on: inputs (path, size, time), checkpoint, decoding, version, how it is made, what is written.

        Raises:
            InputError: if an input is not there.
        """
        parts: list[Any] = [
            self.judge.tags,
            asdict(self.judge.tiling),
            asdict(self.judge.rendering),
            asdict(self.judge.output),
            self.judge.probe_squares,
            self.panel,
            self.report_pictures if self.report else None,
            self.classes,
            sorted(pair.masks),
        ]
        parts += [_identity(path) for path in (pair.image, *pair.masks.values())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _identity(path: str) -> Mapping[str, Any] | str:
    if is_remote(path):
        return path
    file = path.split(LAYER)[0]
    try:
        status = Path(file).stat()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    return {"file": str(Path(file).resolve()), "path": path, "size": status.st_size, "time": status.st_mtime_ns}
