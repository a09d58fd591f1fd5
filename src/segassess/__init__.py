"""segassess: this mask came from somewhere; where is it wrong?

In Python: `segassess.assess(image, mask)` judges a mask, `segassess.load(checkpoint)` loads another assessor than the one in
the box; docs/python.md shows both. They are imported when they are first asked for, so that `import segassess` costs nothing.
"""

from typing import TYPE_CHECKING, Any

from segassess.version import __version__

if TYPE_CHECKING:
    from segassess.api import FitSettings, Judge, QualityMap, assess, fit, load

__all__ = ["FitSettings", "Judge", "QualityMap", "__version__", "assess", "fit", "load"]

# Not seen by type checkers, for which any name of the package would exist otherwise.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module("segassess.api"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
