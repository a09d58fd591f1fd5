"""Packages that only exports and exported graphs need."""

from importlib import import_module
from typing import Any

from segassess.errors import RequestError


def optional(package: str) -> Any:
    """Import a package of an extra, mostly `export`; raises RequestError if it is not installed."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        extra = {"huggingface_hub": "hub", "openvino": "openvino"}.get(package, "export")
        raise RequestError(f"The package {error.name} is not installed; pip install 'segassess[{extra}]'.") from error
