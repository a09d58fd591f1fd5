"""Packages that only exports and exported graphs need."""

from importlib import import_module
from typing import Any

from segassess.errors import RequestError


def optional(package: str) -> Any:
    """Import a package of the extra `export` (`huggingface_hub`: `hub`); raises RequestError if it is not installed."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        extra = "hub" if package == "huggingface_hub" else "export"
        raise RequestError(f"The package {error.name} is not installed; pip install 'segassess[{extra}]'.") from error
