"""How many missed objects a list of them holds of which hardly anything is false.

The list has the called missed objects (`metrics.missed_objects`), surest first. It is cut where at most `FALSE_SHARE` of it is
false; recall is the share of the true missed objects that it then holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segassess.metrics.missed_objects import missed_objects
from segassess.metrics.objects import total

FALSE_SHARE = 0.05


@dataclass(frozen=True)
class MissedCalls:
    """Called and true missed objects of a mask; those of several masks add up.

    `scores` and `right` have an entry per call: its mean P(FN), and whether at least half of its pixels are FN in truth.
    `found` has an entry per true missed object: the largest score of a right call that touches it, -1 without one.
    """

    scores: tuple[float, ...] = ()
    right: tuple[bool, ...] = ()
    found: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, p_fn: NDArray[np.floating], called: NDArray[np.bool_], missing: NDArray[np.bool_], mask: NDArray[np.bool_]
    ) -> "MissedCalls":
        """Of one mask: P(FN), what is called FN, what is FN in truth, and the mask; all (H, W)."""
        calls, objects = missed_objects(called, mask), missed_objects(missing, mask)
        count = int(calls.max(initial=0))
        area = total(calls, np.ones_like(p_fn), count)
        scores, right = total(calls, p_fn, count) / area, total(calls, missing.astype(np.float32), count) / area >= 0.5
        found = np.full(int(objects.max(initial=0)) + 1, -1.0)
        touching = (calls > 0) & (objects > 0)
        hits = calls[touching] - 1
        np.maximum.at(found, objects[touching], np.where(right[hits], scores[hits], -1.0))
        return cls(tuple(scores.tolist()), tuple(right.tolist()), tuple(found[1:].tolist()))

    def __add__(self, other: "MissedCalls") -> "MissedCalls":
        return MissedCalls(self.scores + other.scores, self.right + other.right, self.found + other.found)

    def metrics(self) -> dict[str, float]:
        """`missed_recall` in [0, 1], NaN without a true missed object, and `missed_objects`, their number."""
        number = float(len(self.found))
        if not self.found:
            return {"missed_recall": float("nan"), "missed_objects": number}
        least = _least_score(self.scores, self.right)
        return {"missed_recall": sum(score >= least for score in self.found) / number, "missed_objects": number}


def _least_score(scores: Sequence[float], right: Sequence[bool]) -> float:
    """The smallest score down to which at most `FALSE_SHARE` of the calls are false; inf if there is none."""
    descending, inverse = np.unique(-np.asarray(scores, np.float64), return_inverse=True)
    calls = np.bincount(inverse, minlength=len(descending)).cumsum()
    false = np.bincount(inverse, ~np.asarray(right, bool), minlength=len(descending)).cumsum()
    good = np.flatnonzero(false <= FALSE_SHARE * calls)
    return float(-descending[good[-1]]) if good.size else float("inf")
