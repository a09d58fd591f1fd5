"""Windows for large images."""

from dataclasses import dataclass
from typing import ClassVar

from segassess.options.checking import Settings, refusal
from segassess.options.option import option


@dataclass(frozen=True)
class TilingOptions(Settings):
    """Size and overlap of windows; `segassess.predict.tiling.Tiling` is made from them."""

    KEY: ClassVar = "tiling"

    window: int = option("Side of the windows in pixels; images that fit are judged in one piece.", 640, low=64, multiple=32)
    overlap: int = option("Overlap of windows in pixels; at most half a window.", 128, low=0, multiple=32)
    batch_size: int = option("Windows per batch.", 1, low=1)

    def fault(self) -> str | None:
        """An overlap of more than half a window."""
        if 2 * self.overlap <= self.window:
            return None
        return refusal("tiling.overlap", f"at most half of tiling.window={self.window}", self.overlap)
