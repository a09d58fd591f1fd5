"""Perturbed truths as mask sources: errors of known kind and strength, without a segmenter."""

import numpy as np

from segassess.errors import InputError
from segassess.synthetic.perturbations import objects, outlines
from segassess.synthetic.perturbations.objects import BoolMap, ByteMap
from segassess.synthetic.perturbations.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "perturb"]

# Beyond this an image of hundreds of objects would spend its time inventing more.
MAX_INVENTED = 24


class _Dice:
    """Strengths for one image: a severity for all kinds of error, then a coin and a factor for each."""

    def __init__(self, recipe: Recipe, rng: np.random.Generator) -> None:
        self.rng = rng
        self.chance = recipe.chance
        self.severity = float(rng.uniform(*recipe.severity))

    def strength(self, limit: float) -> float:
        """0 where the coin says no, else 0.3 to 1 of limit times severity."""
        used, factor = self.rng.random() < self.chance, self.rng.uniform(0.3, 1.0)
        return float(limit * self.severity * factor) if used else 0.0

    def number(self, mean: float) -> int:
        """Number of errors of a kind: Poisson, bounded."""
        return min(int(self.rng.poisson(mean)), MAX_INVENTED)


def perturb(truth: BoolMap, image: ByteMap, rng: np.random.Generator, recipe: Recipe) -> BoolMap:
    """A new mask, bool (H, W): the truth, bool (H, W), with the errors of a recipe; some follow the image, uint8 (H, W, 3).

    Raises:
        InputError: if shapes or types do not fit.
    """
    if truth.ndim != 2 or truth.dtype != np.bool_ or truth.size == 0:
        raise InputError(f"Truth of shape {truth.shape} and type {truth.dtype}: give a non-empty bool array (H, W).")
    if image.shape != (*truth.shape, 3) or image.dtype != np.uint8:
        raise InputError(f"Image of shape {image.shape} and type {image.dtype}: give uint8 of shape {(*truth.shape, 3)}.")
    dice = _Dice(recipe, rng)
    mask = truth.copy()
    if rng.random() < recipe.fill_probability:
        mask = objects.fill_holes(mask)
    mask = _lose(mask, image, dice, recipe)
    mask = objects.merge_neighbours(mask, round(dice.strength(recipe.merge_px) / 2))
    mask = outlines.include_shadows(mask, image, round(dice.strength(recipe.shadow_px)))
    if (shift := dice.strength(recipe.shift_px)) > 0:
        mask = objects.shift_objects(mask, shift, rng)
    mask = _invent(mask, image, dice, recipe, objects.label_objects(truth)[0])
    return _redraw(mask, dice, recipe)


def _lose(mask: BoolMap, image: ByteMap, dice: _Dice, recipe: Recipe) -> BoolMap:
    """Errors that remove: dropped objects, missed roofs, cuts and bites."""
    rng = dice.rng
    count = objects.label_objects(mask)[0]
    if (share := dice.strength(recipe.drop_share)) > 0:
        mask = objects.drop_objects(mask, share, rng)
    if missed := dice.number(dice.strength(recipe.miss_share) * count):
        mask = objects.miss_regions(mask, image, missed, recipe.invented_px, rng)
    if (share := dice.strength(recipe.split_share)) > 0:
        mask = objects.split_objects(mask, share, recipe.split_px * rng.uniform(0.5, 1.5), rng)
    if (share := dice.strength(recipe.bite_share)) > 0:
        mask = objects.bite_objects(mask, share, recipe.bite_depth, rng)
    if recipe.gap_share > 0:
        mask = objects.cut_gaps(mask, recipe.gap_share, recipe.gap_px, rng)
    return mask


def _invent(mask: BoolMap, image: ByteMap, dice: _Dice, recipe: Recipe, count: int) -> BoolMap:
    """Errors that add: copies of objects, and regions that only look like one; `count` is the number of true objects."""
    copies = dice.strength(recipe.copy_share) * count
    regions = dice.strength(recipe.region_share) * count
    if count == 0:
        # Not scaled by the coin: an empty truth has no other error to show.
        copies = recipe.invented_if_empty * dice.severity / 3 * (recipe.copy_share > 0)
        regions = recipe.invented_if_empty * dice.severity * (recipe.region_share > 0)
    if number := dice.number(regions):
        mask = objects.invent_regions(mask, image, number, recipe.invented_px, dice.rng)
    if number := dice.number(copies):
        mask = objects.invent_copies(mask, number, recipe.invented_px, dice.rng)
    return mask


def _redraw(mask: BoolMap, dice: _Dice, recipe: Recipe) -> BoolMap:
    """Errors of outlines, on true and invented objects alike."""
    rng = dice.rng
    low, high = recipe.coarse_factor
    factor = low + dice.strength(high - low)
    mask = outlines.coarsen(mask, factor, float(rng.uniform(0.35, 0.6)), recipe.coarse_noise, rng)
    mask = outlines.simplify_outlines(mask, dice.strength(recipe.simplify_px))
    mask = outlines.round_corners(mask, dice.strength(recipe.round_px) / 2)
    mask = outlines.offset_outlines(mask, float(rng.choice((-1.0, 1.0))) * dice.strength(recipe.offset_px))
    return outlines.wobble_outlines(mask, dice.strength(recipe.wobble_px), recipe.wobble_scale_px, rng)
