"""Rows that wait for those below them."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Planes (h, W) by name, and which of their rows are settled now.
Settled: TypeAlias = tuple[dict[str, NDArray[Any]], slice]


class WaitingRows:
    """Keeps rows until `reach` more have come: what holds for a row depends on as many rows above and below it."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._rows: dict[str, NDArray[Any]] = {}
        self._waiting = 0

    def add(self, **fresh: NDArray[Any]) -> Settled | None:
        """Take the next rows, planes (h, W) by name; None if no row is settled by them."""
        self._rows = {name: np.concatenate([self._rows[name], each]) if self._rows else each for name, each in fresh.items()}
        self._waiting += len(next(iter(fresh.values())))
        return self._settle(self._reach)

    def finish(self) -> Settled | None:
        """Settle the rest; no rows can follow."""
        return self._settle(0)

    def _settle(self, ahead: int) -> Settled | None:
        rows = self._rows
        total = len(next(iter(rows.values()), ()))
        start, stop = total - self._waiting, total - ahead
        if stop <= start:
            return None
        self._waiting = ahead
        self._rows = {name: each[max(0, stop - self._reach) :] for name, each in rows.items()}
        return rows, slice(start, stop)
