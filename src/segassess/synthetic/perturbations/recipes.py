"""Recipes: how likely and how strong each error of a perturbed mask is, and the named sources made of them."""

from dataclasses import dataclass, fields

from segassess.errors import ConfigError

_SHARES = ("chance", "drop_share", "split_share", "bite_share", "gap_share", "fill_probability")
_RANGES = ("severity", "invented_px", "coarse_factor")


@dataclass(frozen=True)
class Recipe:
    """Errors that `perturb` mixes: shares and probabilities in [0, 1], lengths in pixels; strengths hold at severity 1.

    Each image draws a severity. A kind of error is used with probability `chance`, at its strength times the severity times a
    number from 0.3 to 1; a strength of 0 switches it off.
    """

    severity: tuple[float, float] = (0.1, 1.0)  # (lowest, highest)
    chance: float = 1.0  # per image and kind of error
    drop_share: float = 0.0  # objects removed
    miss_share: float = 0.0  # image-driven losses (a roof, half a roof) per object
    copy_share: float = 0.0  # invented copies of objects per object
    region_share: float = 0.0  # invented image-driven regions per object
    invented_if_empty: float = 0.0  # mean number of objects invented where the truth has none
    invented_px: tuple[float, float] = (14.0, 70.0)  # (smallest, largest) length of invented or missed regions
    shift_px: float = 0.0  # length of the objects' displacement
    merge_px: float = 0.0  # gaps up to this width are closed
    split_share: float = 0.0  # objects cut in two
    split_px: float = 4.0  # width of the cut
    bite_share: float = 0.0  # objects that lose a bite of their outline
    bite_depth: float = 0.35  # radius of the bite over the square root of the object's area
    gap_share: float = 0.0  # of the foreground, missing in pieces; always, whatever severity and chance
    gap_px: float = 48.0  # side of the squares that cut out these pieces
    offset_px: float = 0.0  # largest dilation or erosion
    simplify_px: float = 0.0  # tolerance of polygon simplification
    round_px: float = 0.0  # radius at which corners are rounded
    wobble_px: float = 0.0  # standard deviation of the outline's random displacement
    wobble_scale_px: float = 14.0  # length of one wobble along the outline, > 0
    shadow_px: float = 0.0  # reach within which dark pixels beside an object are added
    fill_probability: float = 0.0  # of holes
    coarse_factor: tuple[float, float] = (1.0, 1.0)  # (lowest, highest) reduction of resolution, >= 1; (1, 1) is none
    coarse_noise: float = 0.0  # at low resolution, as a share of foreground

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _RANGES:
                low, high = value
                floor = 1.0 if field.name == "coarse_factor" else 0.0
                ceiling = 1.0 if field.name == "severity" else float("inf")
                if not floor <= low <= high <= ceiling:
                    raise ConfigError(
                        f"Recipe.{field.name} is {value}: give (low, high) with {floor:g} <= low <= high <= {ceiling:g}."
                    )
            elif field.name in _SHARES and not 0.0 <= value <= 1.0:
                raise ConfigError(f"Recipe.{field.name} is {value}: give a probability or share from 0 to 1.")
            elif field.name not in _SHARES and not 0.0 <= value < float("inf"):
                raise ConfigError(f"Recipe.{field.name} is {value}: give a finite number of 0 or more (0 switches it off).")
        if self.wobble_scale_px <= 0:
            raise ConfigError(f"Recipe.wobble_scale_px is {self.wobble_scale_px}: give a length in pixels above 0.")


RECIPES: dict[str, Recipe] = {
    # Nothing is wrong, so that all that a judge finds wrong is a false alarm.
    "intact": Recipe(),
    "perturbed": Recipe(
        severity=(0.02, 1.0),
        chance=0.55,
        drop_share=0.6,
        miss_share=1.2,
        copy_share=0.6,
        region_share=1.0,
        invented_if_empty=2.0,
        shift_px=10.0,
        merge_px=8.0,
        split_share=0.6,
        bite_share=0.8,
        offset_px=7.0,
        simplify_px=8.0,
        round_px=6.0,
        wobble_px=4.0,
        shadow_px=12.0,
        fill_probability=0.5,
        coarse_factor=(1.0, 4.0),
        coarse_noise=0.15,
    ),
    "perturbed_objects": Recipe(
        severity=(0.02, 1.0),
        chance=0.8,
        drop_share=0.6,
        miss_share=1.0,
        copy_share=0.7,
        region_share=1.0,
        invented_if_empty=2.0,
        merge_px=10.0,
        split_share=0.6,
        bite_share=0.5,
        fill_probability=0.5,
    ),
    "perturbed_outline": Recipe(
        severity=(0.02, 1.0),
        chance=0.75,
        shift_px=12.0,
        bite_share=0.5,
        offset_px=9.0,
        simplify_px=10.0,
        round_px=8.0,
        wobble_px=5.0,
        shadow_px=12.0,
    ),
    # For what has no single objects, such as roads and rivers.
    "perturbed_gaps": Recipe(gap_share=0.1),
    "perturbed_coarse": Recipe(
        severity=(0.02, 1.0),
        chance=0.85,
        drop_share=0.3,
        miss_share=0.6,
        copy_share=0.2,
        region_share=0.7,
        invented_if_empty=2.0,
        merge_px=4.0,
        offset_px=2.5,
        round_px=4.0,
        wobble_px=2.0,
        wobble_scale_px=20.0,
        coarse_factor=(4.0, 8.0),
        coarse_noise=0.18,
    ),
}
