"""Reads what a W&B run left on disk: the messages of its log, with the package's own definition of them."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7


def payloads(path: Path) -> Iterator[bytes]:
    """The records of a `.wandb` file, which is a log as LevelDB writes it, after seven bytes of W&B's own.

    A record is one piece (type 1), or a first (2), middle ones (3) and a last (4); each has a checksum, its length and its type
    before it, and lies within a block of 32 KiB.
    """
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    at, record = HEADER, b""
    while at + HEADER <= len(content):
        if (left := BLOCK - at % BLOCK) < HEADER:
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + HEADER])
        assert kind in (1, 2, 3, 4), f"{path} is damaged at byte {at}"
        record += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):
            yield record
            record = b""


class StoredRun:
    """A run in a folder `wandb/offline-run-...`.

    Attributes:
        info: id, name (`display_name`) and group (`run_group`).
        config: what the run was given.
        history: a dictionary per logged row; pictures and tables say where their files lie.
        exit_code: None if the run was never closed.
        artifacts: names of artifacts with weights.
    """

    def __init__(self, folder: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        (file,) = folder.glob("run-*.wandb")
        self.files = folder / "files"
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.artifacts: list[str] = []
        self.exit_code: int | None = None
        for payload in payloads(file):
            record = Record.FromString(payload)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.info = record.run
                self._configure(record.run.config.update)
            elif kind == "config":
                self._configure(record.config.update)
            elif kind == "history":
                self.history.append(_row(record.history.item))
            elif kind == "exit":
                self.exit_code = record.exit.exit_code
            elif kind == "artifact" and record.artifact.type == "model":
                self.artifacts.append(record.artifact.name)

    def _configure(self, items: Any) -> None:
        self.config |= {item.key: json.loads(item.value_json) for item in items if item.key}

    def logged(self, name: str) -> list[Any]:
        """All that was logged under a name."""
        return [row[name] for row in self.history if name in row]

    def table(self, name: str) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of a table that was logged once."""
        (logged,) = self.logged(name)
        content = json.loads((self.files / logged["path"]).read_text())
        return content["columns"], content["data"]


def _row(items: Any) -> dict[str, Any]:
    """A logged row; of pictures and tables each property is an item of its own, named after both."""
    row: dict[str, Any] = {}
    for item in items:
        name, *within = item.nested_key or [item.key]
        value = json.loads(item.value_json)
        if within:
            row.setdefault(name, {})["/".join(within)] = value
        else:
            row[name] = value
    return row


def stored_runs(folder: Path) -> list[StoredRun]:
    """All runs below the folder of a training, by their time."""
    return [StoredRun(path) for path in sorted(folder.glob("wandb/offline-run-*"))]
