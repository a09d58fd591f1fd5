"""`segassess predict IMAGE MASK [MASK ...] -o DIR [key=value ...]`, translated for Hydra."""

import re
from collections.abc import Sequence

from segassess.errors import RequestError

USAGE = """Usage: segassess predict IMAGE MASK [MASK ...] -o DIR [key=value ...]
       segassess predict PAIRS.csv -o DIR [key=value ...]

IMAGE and MASK are files, folders, glob patterns in quotes or URLs; -o DIR is output_dir=DIR."""

_LISTS = (".csv", ".parquet", ".json", ".geojson")

_KEY = re.compile(r"[+~]*[A-Za-z_][\w./@-]*=")
# Hydra's options that take a value.
_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}


def overrides(arguments: Sequence[str]) -> list[str]:
    """Paths and `-o` as keys, options last, since Hydra wants all keys together.

    Raises RequestError if a path is missing, or a path or the folder is given twice.
    """
    paths, others, options, outputs = [], [], [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "-o":
            outputs.append(next(rest, ""))
        elif argument in _WITH_VALUE:
            options += [argument, next(rest, "")]
        elif argument.startswith("-"):
            options.append(argument)
        elif argument.startswith("~") or _KEY.match(argument):
            others.append(argument)
        else:
            paths.append(argument)
    keys = {each.partition("=")[0].lstrip("+~") for each in others}
    if outputs and (len(outputs) > 1 or not outputs[0] or _KEY.match(outputs[0]) or "output_dir" in keys):
        raise RequestError("-o takes exactly one folder; give -o DIR or output_dir=DIR once.")
    if paths and (both := sorted({"image", "mask"} & keys)):
        raise RequestError(f"{paths[0]} and {both[0]}= are both given; give the image and its masks as paths or as keys.")
    if len(paths) == 1 and not paths[0].lower().endswith(_LISTS):
        raise RequestError(f"{paths[0]} has no mask; give an image and at least one mask: segassess predict IMAGE MASK -o DIR.")
    if paths and not outputs and "output_dir" not in keys:
        raise RequestError("The folder for the results is missing; add -o DIR.")
    found = [f"output_dir={_quoted(outputs[0])}"] if outputs else []
    if paths:
        image, *masks = map(_quoted, paths)
        found += [f"image={image}", *([f"mask=[{','.join(masks)}]" if len(masks) > 1 else f"mask={masks[0]}"] if masks else [])]
    return [*found, *others, *options]


def _quoted(path: str) -> str:
    """A path in quotes that Hydra takes literally."""
    inner = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), path)
    return f"'{inner}'"
