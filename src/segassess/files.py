"""Files that appear whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segassess.errors import RequestError

_FAULTS_OF_THE_FOLDER = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to; when the block ends well the file is flushed to disk and renamed to `path`.

    If the block raises, `path` stays as it was and nothing is left beside it. Missing folders are made.

    Args:
        path: where the file is to appear.

    Yields:
        Path of an empty file in the same folder, with the same suffix.

    Raises:
        RequestError: if the folder cannot be made or written to, if the disk is full, or if `path` is a folder.
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
        yield beside
        with beside.open("rb+") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno not in _FAULTS_OF_THE_FOLDER:
            raise
        raise _unwritable(path, error) from error
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _unwritable(path: Path, error: OSError) -> RequestError:
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
