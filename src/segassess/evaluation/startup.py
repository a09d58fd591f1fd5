"""`python -m segassess.evaluation.startup`: start-up cost of `segassess predict` beside `import torch`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from segassess.evaluation.commands import command_of, run_measured

# Tiles of the second run; all but the first cost only the judging.
_MANY = 5
_SIDE = 512


def main() -> None:
    """Measure CPU time (all threads, user and system) in processes of their own, and print it."""
    # Compiled modules lie beside those of an installed package; the first run makes them in a clone.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    run_measured([sys.executable, "-c", "import segassess.cli.predict"])
    torch = run_measured([sys.executable, "-c", "import torch"]).cpu_seconds
    with tempfile.TemporaryDirectory() as folder:
        one, many = _predict(Path(folder), 1), _predict(Path(folder), _MANY)
    judging = (many - one) / (_MANY - 1)
    start = one - judging
    print(
        f"import torch {torch:.2f} s; segassess predict on one tile of {_SIDE} px {one:.2f} s, of which judging {judging:.2f} s"
    )
    print(f"Start-up: {start:.2f} s, {start / torch:.2f} times the CPU time of import torch.")


def _predict(folder: Path, count: int) -> float:
    """CPU seconds of a prediction of generated tiles."""
    rng = np.random.default_rng(0)
    here = folder / str(count)
    for name in ("image", "mask"):
        (here / name).mkdir(parents=True)
    for index in range(count):
        blocks = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(blocks).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        image.save(here / "image" / f"{index}.png")
        image.convert("L").point(lambda value: 255 * (value > 140)).save(here / "mask" / f"{index}.png")
    paths = [str(here / "image"), str(here / "mask"), "-o", str(here / "out"), f"hydra.run.dir={here / 'run'}"]
    return run_measured([*command_of("predict"), *paths], subprocess.DEVNULL).cpu_seconds


if __name__ == "__main__":
    main()
