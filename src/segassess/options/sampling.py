"""How training views are drawn."""

from dataclasses import dataclass
from typing import ClassVar

from segassess.options.checking import Settings
from segassess.options.option import option


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """How training views are drawn, whatever the sources are."""

    KEY: ClassVar = "sampling"

    images_per_batch: int = option("Images per batch and process; a batch has images_per_batch x views masks.", 4, low=1)
    views: int | None = option(
        "Views per image; null is one per source, fewer draws as many sources per image, more repeats sources.",
        None,
        low=1,
    )
    crop: int | None = option("Side of the square views in pixels; null is whole tiles.", None, low=1)
    object_crops: float = option("Share of the crops that are centred on an object; the others lie anywhere.", 0.5, low=0, high=1)
    photometric: float = option(
        "Probability of each photometric change (brightness, hue, gamma, blur, noise, compression); the reference has none.",
        0.0,
        low=0,
        high=1,
    )
    recolour: float = option(
        "Probability that a view takes on the colours, to a random extent, of another training tile (its region is drawn first).",
        0.0,
        low=0,
        high=1,
    )
    geometric: float = option("Probability of a random scaling, rotation and shift; the reference has none.", 0.0, low=0, high=1)
    scale: float = option("Probability of a view at another ground resolution; needs crop.", 0.0, low=0, high=1)
    exchange: float = option(
        "Probability that areas in which the mask differs from the truth, or from another training mask of its tile, are taken "
        "from that.",
        0.0,
        low=0,
        high=1,
    )
    region_balance: float = option(
        "How far regions count alike, in training and in calibration: a region of n tiles counts in proportion to n to the power "
        "of 1 minus this; at 0 all tiles count alike, at 1 all regions.",
        0.0,
        low=0,
        high=1,
    )
    gsd: tuple[float, float] = option("Finest and coarsest of these, metres per pixel.", (0.05, 1.0), above=0, ascending=True)
    cross_fit: bool = option("Refuse masks that were drawn by segmenters which had learned from the same image.", True)
    online: bool = option("Draw masks in the training step; sampling=ams_online sets it.", False)
    selection_share: float = option(
        "Share of the training tiles, by group, that choose the checkpoint and calibrate it in place of the validation split, "
        "which can then be reported; 0 takes the validation split.",
        0.0,
        low=0,
        high=0.5,
    )
    cache: bool = option("Keep tiles in memory.", True)

    def fault(self) -> str | None:
        """See the base class."""
        if self.scale and self.crop is None:
            return "sampling.scale needs sampling.crop; set the side of the views in pixels."
        if self.exchange and self.online:
            return "sampling.exchange takes masks from disk; with sampling=ams_online leave it at 0."
        return None


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(SamplingSettings):
    """The config group `sampling`: how views are drawn, from which sources, and by how many processes."""

    sources: tuple[str, ...] | str | None = option(
        "Training sources; null is all but the held-out ones, or with `networks` all that have one.", None
    )
    num_workers: int = option("Processes that read and augment; 0 works in the main process.", 0, low=0)
    networks: str = option(
        "Folder with the networks of the segmenters that draw masks online; `sources` selects some.", path=True
    )
