"""Fixtures shared by all tests: few threads, and a tiny data set in the native folder layout."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import numpy as np
import pytest
import torch
from PIL import Image

from segassess.synthetic import make_scene
from segassess.synthetic.perturbations import RECIPES, perturb

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
# Set where the tests that are marked `own_process` run themselves.
_ALONE = "SEGASSESS_TESTS_ALONE"
# Processes of pytest-xdist share two cores.
THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2


# After so many minutes, slow tests that have not begun are passed over; by default they all run.
SLOW_MINUTES = float(os.environ.get("SLOW_MINUTES", "inf"))
STARTED = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is marked `own_process`, with all such of its module that are slow or fast alike, in a process of theirs.

    OpenVINO is suspected to end a long-lived process in which its graphs were opened, minutes later and now and then.
    """
    if pyfuncitem.get_closest_marker("own_process") is None or _ALONE in os.environ:
        return None
    done = _alone(str(pyfuncitem.path), "slow" if pyfuncitem.get_closest_marker("slow") else "not slow")
    assert done.returncode == 0, done.stdout[-5000:]
    return True


@functools.cache
def _alone(path: str, which: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", f"own_process and {which}", path]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | {_ALONE: "1"})


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep to `SLOW_MINUTES`."""
    if item.get_closest_marker("slow") and time.monotonic() - STARTED > 60 * SLOW_MINUTES:
        pytest.skip(f"SLOW_MINUTES={SLOW_MINUTES:g} are over; make test-slow runs it")


@pytest.fixture(scope="session", autouse=True)
def few_threads():
    torch.set_num_threads(THREADS)


@pytest.fixture
def ctrl_c_is_on():
    """Whoever starts the tests in the background may have switched it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real tiles; they lie beside the repository and are not part of it."""
    if not (SHARED / "data" / "manifest.csv").is_file():
        pytest.skip("the folder ../shared/data with real tiles is missing")
    return SHARED / "data"


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """8 + 3 + 3 scenes of 96 px in the native layout, with the sources alpha, beta and the unseen ocrnet."""
    root = tmp_path_factory.mktemp("tiny")
    for offset, (split, count) in enumerate({"train": 8, "valid": 3, "test": 3}.items()):
        for number in range(count):
            scene = make_scene(1000 * (offset + 1) + number, 96)
            rng = np.random.default_rng([offset, number])
            name = f"{split}_{number}.png"
            save(root / split / "image" / name, scene.image)
            save(root / split / "binary_map" / name, scene.truth["building"])
            for source, recipe in {"alpha": "perturbed", "beta": "perturbed_outline", "ocrnet": "perturbed_coarse"}.items():
                mask = perturb(scene.truth["building"], scene.image, rng, RECIPES[recipe])
                save(root / split / "seg_preds" / source / name, mask)
    return root


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, where there is one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


def save(path: Path, pixels: np.ndarray) -> None:
    """Write an image, or a mask as 0/255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels).save(path)
