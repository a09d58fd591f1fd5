"""Recipes: how likely and how strong each error of a perturbed mask is, and the named sources made of them."""

from dataclasses import dataclass, fields

from segassess.errors import ConfigError

_SHARES = ("chance", "drop_share", "split_share", "bite_share", "fill_probability")
_RANGES = ("severity", "invented_px", "coarse_factor")


@dataclass(frozen=True)
class Recipe:
    """Probabilities and strengths of the errors that `perturb` mixes.

    Strengths hold at severity 1. Per image a severity is drawn from `severity`; each kind of error is used with probability
    `chance`, at its strength times the severity times a number drawn from 0.3 to 1. A strength of 0 switches a kind off.

    Attributes:
        severity: (lowest, highest) severity drawn per image, in [0, 1].
        chance: probability per image that a kind of error is used at all, in [0, 1].
        drop_share: share of objects removed, in [0, 1].
        miss_share: image-driven losses (a roof, half a roof) per object, >= 0.
        copy_share: invented copies of objects per object, >= 0.
        region_share: invented image-driven regions per object, >= 0.
        invented_if_empty: mean number of objects invented where the truth has none, >= 0.
        invented_px: (smallest, largest) length of invented or missed regions, pixels.
        shift_px: length of the objects' displacement, pixels.
        merge_px: gaps up to this width between objects are closed, pixels.
        split_share: share of objects cut in two, in [0, 1].
        split_px: width of the cut, pixels.
        bite_share: share of objects that lose a bite of their outline, in [0, 1].
        bite_depth: radius of a bite over the square root of the object's area.
        offset_px: largest dilation or erosion, pixels.
        simplify_px: tolerance of polygon simplification, pixels.
        round_px: radius at which corners are rounded, pixels.
        wobble_px: standard deviation of the outline's random displacement, pixels.
        wobble_scale_px: length of one wobble along the outline, pixels, > 0.
        shadow_px: reach within which dark pixels beside an object are taken in, pixels.
        fill_probability: probability that holes are filled, in [0, 1].
        coarse_factor: (lowest, highest) reduction of resolution, >= 1; (1, 1) is none.
        coarse_noise: noise at low resolution, as a share of foreground.
    """

    severity: tuple[float, float] = (0.1, 1.0)
    chance: float = 1.0
    drop_share: float = 0.0
    miss_share: float = 0.0
    copy_share: float = 0.0
    region_share: float = 0.0
    invented_if_empty: float = 0.0
    invented_px: tuple[float, float] = (14.0, 70.0)
    shift_px: float = 0.0
    merge_px: float = 0.0
    split_share: float = 0.0
    split_px: float = 4.0
    bite_share: float = 0.0
    bite_depth: float = 0.35
    offset_px: float = 0.0
    simplify_px: float = 0.0
    round_px: float = 0.0
    wobble_px: float = 0.0
    wobble_scale_px: float = 14.0
    shadow_px: float = 0.0
    fill_probability: float = 0.0
    coarse_factor: tuple[float, float] = (1.0, 1.0)
    coarse_noise: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values outside their documented range.

        Raises:
            ConfigError: naming the field, its value and what is allowed.
        """
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
