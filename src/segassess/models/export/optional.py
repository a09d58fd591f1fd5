"""Packages that only exporting, or running what was exported, needs."""

from importlib import import_module
from typing import Any

from segassess.errors import RequestError


def optional(package: str) -> Any:
    """Import a package of the extra `export`; `huggingface_hub` comes with the extra `hub`.

    Raises:
        RequestError: if it is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        extra = "hub" if package == "huggingface_hub" else "export"
        raise RequestError(f"The package {error.name} is not installed; pip install 'segassess[{extra}]'.") from error
