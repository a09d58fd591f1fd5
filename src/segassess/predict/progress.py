"""A progress bar over scenes of very different sizes: megapixels done, and time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from segassess.predict.tiling import Tiling


class SceneProgress:
    """Progress of one scene; without a bar it says nothing."""

    def __init__(self, progress: Progress | None = None, description: str = "") -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(description, total=None, shown="")
        self._megapixels, self._windows, self._done = 0.0, 1, 0

    def start(self, size: tuple[int, int], tiling: Tiling, done: int = 0) -> None:
        """Say how much there is to do.

        Args:
            size: (H, W) of the scene in pixels.
            tiling: of the windows.
            done: windows that were judged by an earlier run.
        """
        self._megapixels = size[0] * size[1] / 1e6
        self._windows, self._done = tiling.windows(*size), done
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=self._megapixels)
            self._show()

    def window(self) -> None:
        """A window was judged."""
        # Where bands of an earlier run end, windows are judged twice.
        self._done = min(self._done + 1, self._windows)
        self._show()

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)

    def _show(self) -> None:
        if self._progress is not None and self._task is not None:
            done = self._megapixels * self._done / self._windows
            shown = f"{done:.1f}/{self._megapixels:.1f} Mpx"
            self._progress.update(self._task, completed=done, shown=shown)


class ScenesBar:
    """Progress of a list of scenes.

    Args:
        progress: where it is shown, see `scenes_progress`.
        total: number of scenes.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Scenes", total=total, shown=f"0/{total}")
        self._total, self._done = total, 0

    @contextmanager
    def scene(self, name: str) -> Iterator[SceneProgress]:
        """A bar for a scene, gone with the block, which counts as done however it ends."""
        bar = SceneProgress(self._progress, f"Judging {name}")
        try:
            yield bar
        finally:
            bar.close()
            self._done += 1
            self._progress.update(self._task, completed=self._done, shown=f"{self._done}/{self._total}")


def scenes_progress(*, shown: bool = True) -> Progress:
    """Rich's progress display with the columns that the bars need, or one that shows nothing."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"), TimeRemainingColumn()
    return Progress(*columns, disable=not shown)
