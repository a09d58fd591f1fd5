"""Inputs by URL: windows of rasters by range requests of GDAL, whole files by fsspec; what fails is tried again, then named.

Credentials come from the environment only (`AWS_ACCESS_KEY_ID` and the like), where GDAL and fsspec look for them themselves.
"""

import atexit
import ctypes
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import rasterio
import rasterio._base
from rasterio.session import DummySession

from segassess.errors import InputError, RequestError, SegAssessError
from segassess.raster.library_errors import LIBRARY_ERRORS

T = TypeVar("T")

# GDAL's virtual file system for each scheme.
_VIRTUAL = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/", "http": "/vsicurl/", "https": "/vsicurl/"}
_PACKAGE = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
# Seconds without an answer, and until a request must be through; the variable is GDAL's own.
_TIMEOUT = "GDAL_HTTP_TIMEOUT"
# Variables that say otherwise win.
_GDAL = {
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    _TIMEOUT: "60",
    # Of 5xx and truncated answers; each pause is about twice the one before.
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    # A bucket may hold thousands of files beside this one.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # So many bytes, as they are stored, stay in memory: panel and pictures read again what windows have read.
    "CPL_VSIL_CURL_CACHE_SIZE": str(512 * 2**20),
    "CPL_VSIL_CURL_CHUNK_SIZE": str(64 * 2**10),
    # Ranges that are read side by side pass by that cache.
    "GDAL_HTTP_MULTIRANGE": "SERIAL",
    "CPL_VSIL_NETWORK_STATS_ENABLED": "YES",
}
# How often something is tried in all; GDAL repeats no slow answers, and fsspec hardly any.
_TRIES = 3
_WHOLE = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
_SECRETS = frozenset({"x-amz-signature", "x-amz-credential", "x-goog-signature", "signature", "sig"})


@dataclass(frozen=True)
class Traffic:
    """Requests for files by URL, and bytes that came back."""

    requests: int = 0
    read: int = 0

    def __add__(self, other: Self) -> "Traffic":
        return Traffic(self.requests + other.requests, self.read + other.read)

    def __sub__(self, other: Self) -> "Traffic":
        return Traffic(self.requests - other.requests, self.read - other.read)


# What was last known of each URL, and the copies that were fetched.
_editions: dict[str, dict[str, Any]] = {}
_copies: dict[str, Path] = {}
# What fsspec did in this process: bytes of each request.
_requests: list[int] = []


def is_url(path: object) -> bool:
    """Whether a path is a URL of one of the schemes s3, gs, az, http and https."""
    return _scheme(path) in _VIRTUAL


def refuse_secrets(url: str, error: type[SegAssessError] = InputError) -> None:
    """Raise `error` for a URL with a password or a signature, which logs and records would show."""
    if not is_url(url):
        return
    parts = urlsplit(url)
    named = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if parts.password or named & _SECRETS:
        raise error(
            f"{parts.scheme}://{parts.hostname}{parts.path} was given with a password or a signature, which logs and records "
            "would show; give credentials by the environment, such as AWS_ACCESS_KEY_ID or AZURE_STORAGE_SAS_TOKEN."
        )


def for_gdal(path: object) -> str:
    """The path by which GDAL opens a file; other paths than URLs stay as they are.

    Formats without tiles are fetched, because their decoders take what was cut off for grey.
    """
    scheme = _scheme(path)
    if scheme not in _VIRTUAL:
        return str(path)
    refuse_secrets(str(path))
    if PurePosixPath(urlsplit(str(path)).path).suffix.lower() in _WHOLE:
        return str(fetched(str(path)))
    return virtual_path(str(path))


def gdal_settings(path: object, **options: object) -> rasterio.Env:
    """A block in which GDAL has `options`, and for a URL those for retries, time limits and caches."""
    if is_url(path):
        options |= {name: value for name, value in _GDAL.items() if name not in os.environ}
    protocol, found, host = _endpoint().partition("://")
    if _scheme(path) == "s3" and found:
        secure = "NO" if protocol == "http" else "YES"
        options |= {"AWS_S3_ENDPOINT": host.rstrip("/"), "AWS_HTTPS": secure, "AWS_VIRTUAL_HOSTING": "FALSE"}
    # GDAL finds credentials itself; rasterio would import boto3 for them, each time.
    return rasterio.Env(session=DummySession(), **options)


class PatientDataset:
    """Wraps a rasterio dataset so that what GDAL fails to read by URL is tried again after a pause; all else is delegated."""

    def __init__(self, dataset: Any, path: object) -> None:
        self._dataset, self._path = dataset, str(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def read(self, *given: Any, **options: Any) -> Any:
        """See rasterio's `read`."""
        return self._patiently(partial(self._dataset.read, *given, **options))

    def read_masks(self, *given: Any, **options: Any) -> Any:
        """See rasterio's `read_masks`."""
        return self._patiently(partial(self._dataset.read_masks, *given, **options))

    def _patiently(self, read: Callable[[], Any]) -> Any:
        return _tried(read, LIBRARY_ERRORS, partial(forget, self._path)) if is_url(self._path) else read()


def edition(url: str) -> dict[str, Any]:
    """What tells a file from its earlier editions: size, and what its server says; InputError if it cannot be had.

    Forgets what was read of an earlier edition.
    """
    with _naming(url):
        about = _tried(lambda: _file_system(url).info(url))
    _requests.append(0)
    names = "size", "ETag", "etag", "LastModified", "last_modified", "Last-Modified", "md5Hash", "generation"
    found = {"url": url, **{name: str(about[name]) for name in names if about.get(name) is not None}}
    if _editions.setdefault(url, found) != found:
        forget(url)
        _editions[url] = found
    return found


def forget(url: str) -> None:
    """Drop what this process remembers of a file, so that it is read anew; GDAL also remembers answers that were cut off."""
    if url in _copies:
        _copies.pop(url).unlink(missing_ok=True)
    with gdal_settings(url):  # which say what server it is of
        _from_gdal("VSICurlPartialClearCache", virtual_path(url).encode())


def fetched(url: str) -> Path:
    """A copy on disk of a whole file, for as long as this process lives; raises InputError if it cannot be had whole."""
    if url not in _copies:
        path = _temporary() / str(len(list(_temporary().iterdir()))) / PurePosixPath(urlsplit(url).path).name
        path.parent.mkdir()
        with _naming(url):
            _tried(lambda: _file_system(url).get_file(url, str(path)))
        _requests.append(path.stat().st_size)
        _copies[url] = path
    return _copies[url]


def listing(pattern: str) -> list[str]:
    """URLs of the files that a pattern matches, sorted; raises InputError if the server cannot be asked."""
    with _naming(pattern):
        files = _file_system(pattern)
        found = _tried(lambda: files.glob(pattern, detail=True))
    return sorted(str(files.unstrip_protocol(path)) for path, about in found.items() if about["type"] == "file")


@contextmanager
def files_at(url: str) -> Iterator[Any]:
    """The file system of fsspec for a folder to write to; whatever it raises in the block becomes an InputError."""
    files = _file_system(url)
    with _naming(url, "read or written", "run the same command again to go on"):
        yield files


def retried(action: Callable[[], T]) -> T:
    """What an action of a file system gives; tried again after a pause unless the server says that it will not have it."""
    return _tried(action)


def traffic() -> Traffic:
    """What this process has read so far, listings apart; what GDAL has read only where its library can be asked."""
    said = _from_gdal("VSINetworkStatsGetAsSerializedJSON", None)
    methods = json.loads(said).get("methods", {}) if said else {}
    requests, read = (sum(int(each.get(name, 0)) for each in methods.values()) for name in ("count", "downloaded_bytes"))
    return Traffic(len(_requests) + requests, sum(_requests) + read)


def virtual_path(url: str) -> str:
    """The path of a URL in GDAL's virtual file systems."""
    scheme, _, place = url.partition("://")
    return _VIRTUAL[scheme.lower()] + (url if scheme.lower().startswith("http") else place)


def _scheme(path: object) -> str | None:
    scheme, found, _ = str(path).partition("://")
    return scheme.lower() if found else None


def _endpoint() -> str:
    """Address of a server that is not Amazon's, with its protocol, by the variable of Amazon's tools; or an empty text."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


def _file_system(url: str) -> Any:
    """The file system of fsspec for a URL; raises RequestError if its package is missing."""
    import fsspec

    refuse_secrets(url)
    scheme, seconds = _scheme(url) or "", float(os.environ.get(_TIMEOUT, _GDAL[_TIMEOUT]))
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        unsigned = os.environ.get("AWS_NO_SIGN_REQUEST", "").upper() in ("YES", "TRUE", "1")
        limits = {"connect_timeout": 10, "read_timeout": seconds, "retries": {"total_max_attempts": 1}}
        options |= {"endpoint_url": _endpoint() or None, "anon": unsigned, "config_kwargs": limits}
    elif scheme.startswith("http"):
        from aiohttp import ClientTimeout

        options["client_kwargs"] = {"timeout": ClientTimeout(total=None, sock_connect=10, sock_read=seconds)}
    try:
        files = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        package = _PACKAGE.get(scheme, scheme)
        extra = "'segassess[buckets]'" if scheme == "s3" else package
        raise RequestError(f"The package {package} is not installed, which {scheme}:// needs; pip install {extra}.") from error
    if scheme == "s3":
        files.retries = 1
    return files


def _tried(
    action: Callable[[], T], errors: tuple[type[Exception], ...] = (Exception,), between: Callable[[], None] = lambda: None
) -> T:
    """Try several times, but not what the server has said that it will not do."""
    for number in range(_TRIES - 1):
        try:
            return action()
        except errors as error:
            if _refused(error):
                raise
        time.sleep(float(os.environ.get("GDAL_HTTP_RETRY_DELAY", _GDAL["GDAL_HTTP_RETRY_DELAY"])) * 2**number)
        between()
    return action()


def _refused(error: BaseException) -> bool:
    """Whether a server has no such file, or does not give it."""
    code = _status(error)
    if code is not None:
        return code < 500 and code not in (408, 429)
    return isinstance(error, FileNotFoundError | PermissionError | SegAssessError | ImportError)


def _status(error: BaseException) -> int | None:
    """HTTP status behind an error of fsspec; aiohttp also gives one to answers that were cut off."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ == "ClientResponseError":
            return int(cause.status)  # type: ignore[attr-defined]
        cause = cause.__cause__
    return None


@contextmanager
def _naming(url: str, done: str = "read", later: str = "try again later") -> Iterator[None]:
    """Turn whatever fsspec raises into one sentence that names the URL."""
    try:
        yield
    except SegAssessError:
        raise
    except Exception as error:  # botocore, aiohttp and others have many ways to fail
        if _status(error) in (None, 404) and isinstance(error, FileNotFoundError):
            raise InputError(f"{url} does not exist; check the address.") from error
        mend = "check address and credentials" if _refused(error) else later
        raise InputError(f"{url} cannot be {done} ({_words(error)}); {mend}.") from error


def _words(error: BaseException) -> str:
    """What a server or library said, in one line."""
    code = _status(error)
    if code is not None:
        return f"HTTP status {code}"
    said = re.sub(r"^\[Errno \d+\] ", "", " ".join(str(error).split()))
    return said or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def _from_gdal(function: str, argument: bytes | None) -> bytes:
    """Call a function of rasterio's GDAL that rasterio does not offer; empty where it cannot be found."""
    try:
        called = getattr(ctypes.CDLL(rasterio._base.__file__), function)
    except AttributeError:  # only where libraries share their names is it found
        return b""
    called.restype, called.argtypes = (None if argument else ctypes.c_char_p), [ctypes.c_char_p]
    return called(argument) or b""


@cache
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="segassess-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
