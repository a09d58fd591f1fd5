"""Match images with their masks: files, folders, glob patterns, URLs and prefixes, or a list of pairs."""

import glob
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segassess.errors import InputError, RequestError
from segassess.raster import RASTER_SUFFIXES, VECTOR_SUFFIXES, RasterPath, is_remote
from segassess.raster.pair_lists import LISTS, rows_of_list
from segassess.raster.passed_over import passed_over
from segassess.raster.urls import edition, fetched, is_url, listing, refuse_secrets
from segassess.raster.vectors import LAYER

DEFAULT_SOURCE = "mask"  # if a list of pairs names none

_ALLOWED_MASK = "give a file, several, a folder or a glob pattern"
_CSV = "image=pairs.csv with the columns image and mask"
_ALLOWED = f"give a file, a folder, a glob pattern, or {_CSV}"


@dataclass(frozen=True)
class Pair:
    """An image and the masks drawn over it."""

    name: str  # unique in the request and safe as a folder name
    image: str
    masks: Mapping[str, str]  # path by source


@dataclass(frozen=True)
class FailedInput:
    """An input that cannot be judged, with the reason in one sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class FoundPairs:
    """Result of matching a request."""

    pairs: tuple[Pair, ...]  # in the order of image file names, or of the CSV's rows
    failures: tuple[FailedInput, ...] = ()  # images without a mask, or masks without an image
    unmatched: tuple[str, ...] = ()  # masks without an image, which need not be an error


@dataclass
class _Found:
    """Files found for one side of the request; `pattern` is the stem of the glob pattern."""

    paths: list[str]
    pattern: str = "*"
    single: bool = False


def find_pairs(image: RasterPath | None, mask: RasterPath | Sequence[RasterPath] | None = None) -> FoundPairs:
    """Match images and masks.

    - Two files make a pair, whatever their names; an image and a list of masks make one with several sources, named after the
      masks.
    - Folders (without subfolders) and glob patterns are matched by stem; if no stems match, by what the wildcards stand for
      (`*_rgb.tif` and `*_mask.tif`). The folder name tells apart images of one stem. The source is the mask's folder, so
      `masks/*/*.tif` finds several sources; a mask folder without rasters has one source per subfolder.
    - A CSV (`,` or `;`) or Parquet file has the columns image and mask, optionally name and source (default "mask"), and paths
      relative to itself. Rows of the same image and name are one pair with several sources. A collection of STAC items counts
      as such a table; see `rows_of_list`.
    - URLs (`raster.urls`) count as files; one that ends with `/` is a folder, one with `*` a pattern. Folders in a bucket show
      all files with the suffixes of rasters and layers but `.json`.

    A search skips hidden files, sidecars (also a `.json` without polygons) and outputs of earlier runs, unless the pattern names
    them, as `out/*/refined.tif` does. Unicode normal forms are equivalent. Raises RequestError if nothing is found or matches,
    or if the match is ambiguous.
    """
    if image is None or not str(image):
        raise RequestError(f"image= is not set; {_ALLOWED}.")
    for each in (image, *([] if mask is None else [mask] if isinstance(mask, str | Path) else mask)):
        refuse_secrets(str(each), RequestError)
    if _suffix(str(image)) in LISTS and (is_url(image) or not is_remote(image)):
        if mask is not None and str(mask):
            raise RequestError(f"image={image} is a list of pairs and names the masks itself; leave out mask={mask}.")
        return _pairs_of_list(str(image))
    if mask is None or not str(mask):
        raise RequestError(f"mask= is not set; {_ALLOWED_MASK}, or {_CSV}.")
    if not isinstance(mask, str | Path):
        return _several_masks(_find("image", str(image)), [str(each) for each in mask], f"image={image}")
    return _match(_find("image", str(image)), _find("mask", str(mask)), f"image={image} and mask={mask}")


def _several_masks(images: _Found, masks: list[str], request: str) -> FoundPairs:
    """Match one image with a list of masks."""
    if not images.single:
        raise RequestError(f"{request} must be one file if mask= is a list; for many images give a CSV of pairs, or folders.")
    masks = [on_disk(mask) for mask in masks]
    absent = [mask for mask in masks if not _exists(mask)]
    if absent or not masks:
        raise RequestError(
            f"mask={absent[0] if absent else '[]'} does not exist; give the files that were drawn over the image, each in quotes "
            f"if its name has a comma: mask=\"['a,b.tif']\"."
        )
    names = _unique_names(masks)
    if len(names) < len(masks):
        raise RequestError(f"mask= names {next(mask for mask in masks if masks.count(mask) > 1)} twice; name each mask once.")
    image = images.paths[0]
    return FoundPairs((Pair(safe_name(_stem(image)), image, {names[mask]: mask for mask in masks}),))


def _find(key: str, path: str) -> _Found:
    """Find rasters (and vector masks) of one side, sorted by path."""
    path = on_disk(path)
    suffixes = RASTER_SUFFIXES | VECTOR_SUFFIXES if key == "mask" else RASTER_SUFFIXES
    if is_url(path) and (path.endswith("/") or "*" in path):
        pattern = f"{path}*" if path.endswith("/") else path
        found = _Found(_listed(pattern, suffixes), PurePosixPath(pattern).stem)
        if key == "mask" and path.endswith("/") and not found.paths:
            found.paths = _listed(f"{path}*/*", suffixes)
    elif _exists(path):
        return _Found([path], single=True)
    elif Path(path).is_dir():
        found = _Found(_files(Path(path).iterdir(), suffixes))
        if key == "mask" and not found.paths:
            found.paths = _files(Path(path).glob("[!.]*/*"), suffixes)
    elif glob.has_magic(path):
        # Path.glob takes no absolute patterns.
        matches = glob.glob(path, recursive=True)  # noqa: PTH207
        named = not glob.has_magic(PurePosixPath(path).name)
        found = _Found(_files(map(Path, matches), suffixes, named), PurePosixPath(path).stem)
    else:
        raise RequestError(f"{key}={path} does not exist; {_ALLOWED_MASK if key == 'mask' else _ALLOWED}.")
    if not found.paths:
        raise RequestError(f"{key}={path} contains no raster; allowed file extensions are {', '.join(sorted(suffixes))}.")
    return found


def _files(paths: Iterable[Path], suffixes: frozenset[str], named: bool = False) -> list[str]:
    rasters = (path for path in paths if _suffix(str(path)) in suffixes and path.name[0] != "." and path.is_file())
    return sorted(str(path) for path in rasters if named or not passed_over(path))


def _listed(pattern: str, suffixes: frozenset[str]) -> list[str]:
    """As `_files` of the URLs that a pattern matches."""
    try:
        urls = listing(pattern)
    except InputError as error:
        raise RequestError(str(error)) from error
    # What a JSON holds, only reading it would tell.
    return [url for url in urls if _suffix(url) in suffixes - {"json"} and PurePosixPath(url).name[0] != "."]


def _exists(path: str) -> bool:
    """Whether the file exists (without `|layername=`); True for remote paths, which only GDAL can check."""
    return is_remote(path) or Path(path.split(LAYER)[0]).is_file()


def on_disk(path: str) -> str:
    """The path in the Unicode form (NFC or NFD) that exists on disk; unchanged if none does."""
    file, bar, layer = path.partition(LAYER)
    if is_remote(path) or Path(file).exists():
        return path
    folder, name = Path(file).parent, Path(file).name
    for form in ("NFC", "NFD"):
        for other in (str(folder / unicodedata.normalize(form, name)), unicodedata.normalize(form, file)):
            if Path(other).exists():
                return f"{other}{bar}{layer}"
    return path


def _match(images: _Found, masks: _Found, request: str) -> FoundPairs:
    if images.single and masks.single:
        if images.paths == masks.paths:
            raise RequestError(f"{request} are the same file; give the mask that was drawn over the image.")
        image, mask = images.paths[0], masks.paths[0]
        return FoundPairs((Pair(safe_name(_stem(image)), image, {safe_name(_stem(mask)): mask}),))
    # A wide pattern for the images may find the masks as well.
    images.paths = [path for path in images.paths if path not in set(masks.paths)]
    if not images.paths:
        raise RequestError(f"{request} match the same files; separate images and masks by folder or pattern.")
    by_folder = max(Counter(map(_stem, images.paths)).values()) > 1
    keys: list[Callable[[str, _Found], str]] = [_folder_and_stem] if by_folder else [_stem_key, _wildcard_key]
    for key in keys:
        of_image = _unique_keys(images, key)
        of_mask = {path: key(path, masks) for path in masks.paths}
        if set(of_image) & set(of_mask.values()):
            break
    else:
        first_image, first_mask = PurePosixPath(images.paths[0]).name, PurePosixPath(masks.paths[0]).name
        raise RequestError(
            f"{request} have no names in common (such as {first_image} and {first_mask}); "
            f"name masks like their images, or give a CSV of pairs with the columns image and mask."
        )
    masks_of: dict[str, dict[str, str]] = {}
    for path in masks.paths:
        if of_mask[path] in of_image:
            source = safe_name(_stem(path)) if masks.single else _folder(path, above=int(by_folder)) or DEFAULT_SOURCE
            sources = masks_of.setdefault(of_mask[path], {})
            if source in sources:
                raise RequestError(
                    f"{sources[source]} and {path} are both masks of {of_image[of_mask[path]]}; "
                    f"keep one mask per image in each folder, or give a CSV of pairs with a column source."
                )
            sources[source] = path
    names = _unique_names(list(of_image.values()))
    return FoundPairs(
        pairs=tuple(Pair(names[path], path, masks_of[key]) for key, path in of_image.items() if key in masks_of),
        failures=tuple(
            FailedInput(names[path], f"{path} has no mask of the same name.")
            for key, path in of_image.items()
            if key not in masks_of
        ),
        unmatched=tuple(path for path in masks.paths if of_mask[path] not in of_image),
    )


def _unique_keys(images: _Found, key: Callable[[str, _Found], str]) -> dict[str, str]:
    by_key: dict[str, str] = {}
    for path in images.paths:
        other = by_key.setdefault(key(path, images), path)
        if other != path:
            raise RequestError(f"{other} and {path} have the same name; rename one, or give a CSV of pairs with a column name.")
    return by_key


def _stem_key(path: str, found: _Found) -> str:
    return _stem(path)


def _folder_and_stem(path: str, found: _Found) -> str:
    return f"{_folder(path)}/{_stem(path)}"


def _wildcard_key(path: str, found: _Found) -> str:
    """The part matched by the wildcards: "a" for `a_mask.tif` and `*_mask.tif`."""
    wildcards = [match.start() for match in re.finditer(r"[*?\]\[]", found.pattern)]
    if not wildcards:
        return _stem(path)
    before, after = wildcards[0], len(found.pattern) - wildcards[-1] - 1
    stem = _stem(path)
    return stem[before : len(stem) - after]


def _pairs_of_list(path: str) -> FoundPairs:
    file = Path(on_disk(path))
    if is_url(path):
        try:
            edition(path)  # a list may change while a process lives
            file = fetched(path)
        except InputError as error:
            raise RequestError(str(error)) from error
    if not file.is_file():
        raise RequestError(f"image={path} does not exist; {_ALLOWED}.")
    images: dict[tuple[str, str], dict[str, str]] = {}
    failures: list[FailedInput] = []
    for number, cells in rows_of_list(file, path):
        row = {column: cells.get(column, "") for column in ("image", "mask", "name", "source")}
        image, mask = (_resolved(row[column], path) for column in ("image", "mask"))
        label = row["name"] or (_stem(image) if image else f"row {number}")
        missing = [column for column, value in (("image", image), ("mask", mask)) if not value]
        absent = [value for value in (image, mask) if value and not _exists(value)]
        if missing:
            failures.append(FailedInput(label, f"Row {number} of {path} has no {' and no '.join(missing)}."))
        elif absent:
            failures.append(FailedInput(label, f"{' and '.join(absent)} of row {number} of {path} do not exist."))
        else:
            sources = images.setdefault((image, row["name"]), {})
            source = row["source"] or DEFAULT_SOURCE
            if source in sources:
                raise RequestError(
                    f"Row {number} of {path} gives {image} a second mask of the source {source}; "
                    f"tell them apart by the column source or name."
                )
            sources[source] = mask
    if not images:
        reasons = f" (such as: {failures[0].reason[:-1]})" if failures else ""
        raise RequestError(f"{path} lists no pair of existing files{reasons}; paths are relative to its folder.")
    given = Counter(safe_name(name).casefold() for _, name in images if name)
    for _, name in images:
        if name and given[safe_name(name).casefold()] > 1:
            raise RequestError(f"{path} gives the name {name} to several images; names must differ in more than case.")
    automatic = _unique_names([image for image, name in images if not name], taken=set(given))
    pairs = tuple(
        Pair(safe_name(name) if name else automatic[image], image, sources) for (image, name), sources in images.items()
    )
    return FoundPairs(pairs, tuple(failures))


def _resolved(path: str, listed_in: str) -> str:
    if not path or is_remote(path):
        return path
    return f"{listed_in.rpartition('/')[0]}/{path}" if is_url(listed_in) else on_disk(str(Path(on_disk(listed_in)).parent / path))


def _unique_names(paths: Sequence[str], taken: set[str] | None = None) -> dict[str, str]:
    """A unique name for each path, also ignoring case: its stem, if needed with the folder before and a number after it."""
    used = set(taken or ())
    count = Counter(safe_name(_stem(path)).casefold() for path in paths)
    names: dict[str, str] = {}
    for path in paths:
        name = safe_name(_stem(path))
        if count[name.casefold()] > 1 or name.casefold() in used:
            name = safe_name(f"{_folder(path)}_{_stem(path)}")
        number, unique = 2, name
        while unique.casefold() in used:
            number, unique = number + 1, f"{name}_{number}"
        used.add(unique.casefold())
        names[path] = unique
    return names


def safe_name(name: str) -> str:
    """Replace everything but letters, digits, `.`, `-` and `_`, and strip outer dots."""
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip(".") or "image"


def _pure(path: str) -> PurePosixPath:
    """The path to derive names from: no URL query, forward slashes, and the layer name as the stem."""
    file, _, layer = path.partition(LAYER)
    pure = PurePosixPath((file.split("?")[0] if "://" in file else file).replace("\\", "/"))
    return pure.with_name(f"{layer}{pure.suffix}") if layer else pure


def _stem(path: str) -> str:
    return unicodedata.normalize("NFC", _pure(path).stem)


def _suffix(path: str) -> str:
    return _pure(path).suffix.lower().lstrip(".")


def _folder(path: str, above: int = 0) -> str:
    """Name of the file's folder, or of the folder `above` levels up."""
    folders = _pure(path if is_remote(path) else Path(path).absolute().as_posix()).parents
    return folders[above].name if above < len(folders) else ""
