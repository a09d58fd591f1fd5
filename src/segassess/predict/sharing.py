"""How processes share a list of scenes: contiguous parts of equal work, cut between bands of rows if necessary."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Some bands of the scene with index `scene`; `whole` says whether they are all of them."""

    scene: int
    bands: range
    whole: bool

    @property
    def first(self) -> bool:
        """Whether the scene begins in this part."""
        return self.bands.start == 0


def share(scenes: Sequence[tuple[int, int]], processes: int) -> list[list[Part]]:
    """Divide scenes between processes, without duplicates or gaps; each gets its parts in order, possibly none.

    `scenes` holds the number of bands, at least 1, and the work in each of them. Parts are contiguous, because a process judges
    one more row of windows wherever it begins within a scene.
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
