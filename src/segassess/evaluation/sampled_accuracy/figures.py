"""The figures of an answered sample of pixels, objects or blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segassess.errors import RequestError
from segassess.evaluation.sampled_accuracy import clusters
from segassess.evaluation.sampled_accuracy.clusters import SeenBlocks, estimate_blocks, estimate_true_objects
from segassess.evaluation.sampled_accuracy.estimates import FIGURES, Estimate, Looks, estimate
from segassess.evaluation.sampled_accuracy.sample_files import (
    BLOCKS,
    GIVE_ANSWERS,
    OBJECTS,
    Sample,
    own_or,
    read_answers,
    read_counts,
)

# Figures with the field's other names for them, those of ratios first.
NAMES: Mapping[str, str] = {
    "iou": "IoU",
    "f1": "F1",
    "precision": "precision, user's accuracy",
    "recall": "recall, producer's accuracy",
    "error_share": "share of wrong pixels",
    "truth_share": "share of the object in truth",
    "truth_area_ha": "area of the object, ha",
    "true_objects": "objects in truth",
    "listed_f1": "F1 of listed objects",
    "listed_recall": "recall of listed objects",
    "listed_true_objects": "objects in truth that are listed",
}


@dataclass(frozen=True)
class AnsweredSample:
    """A sample, and what was seen in each of its strata: `Looks` at pixels or objects, or `SeenBlocks`."""

    sample: Sample
    seen: Sequence[Any]

    @property
    def count(self) -> int:
        """Number of units with an answer."""
        return sum(map(len, self.seen))

    def figures(self, confidence: float, *, prediction_powered: bool = False) -> dict[str, Estimate]:
        """All figures that such a sample gives, by name."""
        sample, strata = self.sample, self.sample.strata
        if sample.units == BLOCKS:
            blocks = {name: estimate_blocks(name, strata, self.seen, confidence=confidence) for name in clusters.FIGURES}
            return {**blocks, "true_objects": estimate_true_objects(strata, self.seen, sample.objects, confidence=confidence)}

        def of(name: str) -> Estimate:
            return estimate(name, strata, self.seen, confidence=confidence, prediction_powered=prediction_powered)

        units = sum(stratum.size for stratum in strata)
        if sample.units == OBJECTS:
            # Nobody has looked for objects that neither the layer nor the list of missed ones has.
            listed = {"listed_f1": of("f1"), "listed_recall": of("recall")}
            return {"precision": of("precision"), **listed, "listed_true_objects": of("truth_share").times(units)}
        found = {name: of(name) for name in FIGURES}
        if sample.pixel_area_m2 is not None:
            found["truth_area_ha"] = found["truth_share"].times(sample.pixel_area_m2 * units / 1e4)
        return found

    def strata(self) -> list[dict[str, Any]]:
        """Of each stratum that is not empty its size, what was expected, and what was seen."""
        rows = []
        for stratum, seen in zip(self.sample.strata, self.seen, strict=True):
            if not stratum.size:
                continue
            row = {"stratum": stratum.name, "size": stratum.size, "expected": stratum.mean_error, "looks": len(seen)}
            wrong = int(seen.wrong.sum() + (seen.missed.sum() if isinstance(seen, SeenBlocks) else 0))
            rows.append({**row, "wrong": wrong, "share": wrong / len(seen)})
        return rows


def answered_sample(folder: Path, sample: Sample, answers: str | None) -> AnsweredSample:
    """Read the answers to a sample; RequestError if they do not fit it, or some stratum has fewer than two."""
    paths = own_or(folder, answers)
    seen: list[Any] = []
    if sample.units == BLOCKS:
        counts = read_counts(paths, {each: objects for each, (objects, _) in sample.blocks.items()})
        for index in range(len(sample.strata)):
            here = [(sample.blocks[each][0], *said) for each, said in counts.items() if sample.points[each][0] == index]
            seen.append(SeenBlocks(*np.array(here, np.int64).reshape(-1, 3).T))
    else:
        said = {each: answer for each, answer in read_answers(paths, sample.points).items() if answer is not None}
        for index in range(len(sample.strata)):
            rows = [(answer != sample.points[each][1], sample.points[each][2]) for each, answer in said.items()
                    if sample.points[each][0] == index]  # fmt: skip
            seen.append(Looks(np.array([wrong for wrong, _ in rows], bool), np.array([error for _, error in rows], float)))
    found = AnsweredSample(sample, seen)
    bare = [stratum.name for stratum, looks in zip(sample.strata, seen, strict=True) if len(looks) < min(2, stratum.size)]
    if not found.count:
        raise RequestError(
            f"0 of {len(sample.points)} {sample.units} have an answer in {', '.join(map(str, paths))}; {GIVE_ANSWERS}"
        )
    if bare:
        raise RequestError(
            f"{found.count} of {len(sample.points)} {sample.units} have an answer, fewer than two of those called {bare[0]}; go "
            "on until each kind has some."
        )
    return found
