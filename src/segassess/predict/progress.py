"""A progress bar over scenes of very different sizes: megapixels done, and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from segassess.predict.tiling import Tiling


class SceneProgress:
    """Progress of one scene; shows nothing without `progress`."""

    def __init__(self, progress: Progress | None = None, description: str = "") -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(description, total=None, shown="")
        self._megapixels, self._windows, self._done = 0.0, 1, 0

    def start(self, size: tuple[int, int], tiling: Tiling, done: int = 0) -> None:
        """Set what there is to do: a scene of `size` (H, W) in pixels, `done` windows of which an earlier run judged."""
        self._megapixels = size[0] * size[1] / 1e6
        self._windows, self._done = tiling.windows(*size), done
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=self._megapixels)
            self._show()

    def window(self) -> None:
        """Count a judged window."""
        # Some windows are judged twice where bands of an earlier run end.
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
    """Progress of a list of `total` scenes, shown by `scenes_progress`."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Scenes", total=total, shown=f"0/{total}")
        self._total, self._done = total, 0
        self._units: TaskID | None = None

    @contextmanager
    def scene(self, name: str) -> Iterator[SceneProgress]:
        """A bar for a scene, gone with the block; the scene counts as done however the block ends."""
        bar = SceneProgress(self._progress, f"Judging {name}")
        try:
            yield bar
        finally:
            bar.close()
            self.advance()

    def advance(self) -> None:
        """Count a scene as done."""
        self._done += 1
        self._progress.update(self._task, completed=self._done, shown=f"{self._done}/{self._total}")

    def units(self, done: int, known: int) -> None:
        """Show how many units of work, scenes and parts of them, other processes have done of those known so far."""
        if self._units is None:
            self._units = self._progress.add_task("Parts", total=known, shown="")
        self._progress.update(self._units, completed=done, total=known, shown=f"{done}/{known}")


def scenes_progress(*, shown: bool = True) -> Progress:
    """Rich's progress display with the columns that the bars need."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"), TimeRemainingColumn()
    return Progress(*columns, disable=not shown)


@contextmanager
def fit_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A display for trainings on layers; yields a function of source, steps done and number of steps, 0 if unknown."""
    with scenes_progress() as progress:
        tasks: dict[str, TaskID] = {}

        def shown(source: str, done: int, steps: int) -> None:
            if source not in tasks:
                tasks[source] = progress.add_task(f"Learning from the layer {source}", total=None, shown="")
            progress.update(tasks[source], completed=done, total=steps or None, shown=f"step {done}/{steps or '?'}")

        yield shown
