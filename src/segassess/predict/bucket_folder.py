"""A folder in a bucket that holds what a folder on disk holds, whole or not at all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from segassess.files import atomic_path
from segassess.raster.urls import files_at, retried


@dataclass(frozen=True)
class BucketFolder:
    """A folder below a URL (`s3://`, `gs://`, `az://`), without its last slash.

    A folder that was uploaded is complete where its record is, the file that is uploaded last and removed first. All methods
    raise InputError if the server does not do what it is asked, after several tries.
    """

    url: str

    def below(self, name: str) -> "BucketFolder":
        """A folder in this one."""
        return BucketFolder(f"{self.url}/{name}")

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        with files_at(self.url) as files:
            try:
                content: bytes = retried(partial(files.cat_file, f"{self.url}/{name}"))
            except FileNotFoundError:
                return None
            return content

    def write(self, paths: Iterable[Path]) -> None:
        """Upload files, in their order."""
        with files_at(self.url) as files:
            for path in paths:
                retried(partial(files.put_file, str(path), f"{self.url}/{path.name}"))

    def upload(self, folder: Path, record: str) -> None:
        """Make this folder hold the visible files of a folder on disk, and no others."""
        with files_at(self.url) as files:
            self._mirror(
                here=_visible(folder),
                there=self._names(files),
                copy=lambda name: files.put_file(str(folder / name), f"{self.url}/{name}"),
                remove=lambda name: files.rm_file(f"{self.url}/{name}"),
                record=record,
            )

    def download(self, folder: Path, record: str) -> None:
        """Make a folder on disk hold the files of this folder, and no other visible ones."""
        with files_at(self.url) as files:

            def copy(name: str) -> None:
                with atomic_path(folder / name) as beside:
                    files.get_file(f"{self.url}/{name}", str(beside))

            self._mirror(
                here=self._names(files),
                there=_visible(folder),
                copy=copy,
                remove=lambda name: (folder / name).unlink(),
                record=record,
            )

    def _names(self, files: Any) -> set[str]:
        """Names of all files in this folder, relative to it."""
        root = PurePosixPath(files._strip_protocol(self.url))
        return {str(PurePosixPath(path).relative_to(root)) for path in retried(partial(files.find, self.url))}

    @staticmethod
    def _mirror(here: set[str], there: set[str], copy: Callable[[str], None], remove: Callable[[str], None], record: str) -> None:
        """Copy all that is here, so that a record there always means that all of it is."""
        if record in there:
            retried(partial(remove, record))
        for name in sorted(there - here - {record}):
            retried(partial(remove, name))
        for name in (*sorted(here - {record}), record):
            retried(partial(copy, name))


def _visible(folder: Path) -> set[str]:
    """Names of files below a folder, relative to it, but for hidden ones and those in hidden folders."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)}
