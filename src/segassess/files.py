"""Atomic writes, locks and digests of files."""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segassess.errors import InputError, OutputError, RequestError

# File that a process locks while it writes in a folder.
LOCK = ".lock"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_FAULTS_OF_THE_FOLDER = (*_NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Path of an empty file beside `path`, with its suffix, that replaces `path` when the block ends without an error.

    The file is flushed to disk first. If the block raises, `path` is unchanged and nothing is left beside it. Missing folders
    are created. Raises RequestError if the folder cannot be written or `path` is a folder, OutputError if the disk is full or
    fails.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile, whose files only their owner may read, which the rename would keep.
        beside.touch(exist_ok=False)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with writing(path):
            yield beside
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise RequestError if `path` turns out not to be writable within the block, OutputError if the disk is full or fails."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FAULTS_OF_THE_FOLDER:
            raise
        raise _unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write text atomically, in UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, indent: int | None = 2, **options: Any) -> None:
    """Write JSON atomically; `options` go to `json.dumps`."""
    write_text(path, json.dumps(content, indent=indent, **options) + "\n")


def fault_of_disk(folder: Path, needed: int, words: str) -> OSError:
    """The OSError behind a library's failed write: a full disk if fewer than `needed` bytes are free; `words` are quoted."""
    code = errno.ENOSPC if shutil.disk_usage(folder).free < needed else errno.EIO
    return OSError(code, f"{os.strerror(code)}: {words}" if code == errno.ENOSPC else words)


def remove_leftovers(folder: Path) -> None:
    """Remove files that killed processes left half written in a folder (not below it); no other process may be writing there."""
    for path in folder.glob(".*.part*"):
        path.unlink(missing_ok=True)


@contextmanager
def only_one(folder: Path, *, wait: bool = False, instead: str = "output_dir") -> Iterator[None]:
    """Lock a folder, created if missing, for the length of the block; a process that dies releases its lock.

    Raises InputError if another process holds the lock and `wait` is false; the message names the key `instead`. Raises
    RequestError if the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, blocking=wait)
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{folder} is being written by another process; wait for it or choose another {instead}.") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def remove_empty(folder: Path) -> None:
    """Remove a folder, then its parent, if each holds nothing but a lock that nobody holds."""
    path = folder / LOCK
    if path.is_file():
        try:
            with FileLock(path, blocking=False):
                others = [each for each in folder.rglob("*") if each.is_file() and each != path]
                if not others:
                    shutil.rmtree(folder)
        except Timeout:
            return
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def file_digest(path: Path) -> str:
    """First 16 hexadecimal digits of the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _unwritable(path: Path, error: OSError) -> RequestError | OutputError:
    if error.errno in _NO_ROOM:
        return OutputError(f"{path} cannot be written ({error.strerror}); make room and run the same command again to resume.")
    if file := next((each for each in path.parents if each.is_file()), None):
        return RequestError(f"{file} is a file; give a folder.")
    return RequestError(f"{path} cannot be written ({error.strerror}); give a folder that you may write to.")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
