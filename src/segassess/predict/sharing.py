"""How processes share a list of scenes: contiguous parts of equal work, cut between bands of rows where need be."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part of a list of scenes.

    Attributes:
        scene: index of the scene.
        bands: of it that are meant.
        whole: whether these are all.
    """

    scene: int
    bands: range
    whole: bool

    @property
    def first(self) -> bool:
        """Whether the scene begins in this part."""
        return self.bands.start == 0


def share(scenes: Sequence[tuple[int, int]], processes: int) -> list[list[Part]]:
    """Divide scenes between processes, without duplicates or gaps.

    Parts are contiguous, because a process judges one row of windows more wherever it begins within a scene.

    Args:
        scenes: number of bands, at least 1, and work in each of them, by scene.
        processes: how many, at least 1.

    Returns:
        The parts of each process, in the order of the scenes; a process may have none.
    """
    total = sum(bands * work for bands, work in scenes)
    parts: list[list[Part]] = [[] for _ in range(processes)]
    done = 0
    for index, (bands, work) in enumerate(scenes):
        # A band belongs to the process in whose equal share of the work its middle lies.
        owners = [(2 * (done + band * work) + work) * processes // (2 * total) for band in range(bands)]
        for process in sorted(set(owners)):
            mine = [band for band, owner in enumerate(owners) if owner == process]
            parts[process].append(Part(index, range(mine[0], mine[-1] + 1), len(mine) == bands))
        done += bands * work
    return parts
