"""Agreement and speed of an exported graph against its network, measured on generated scenes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.export.onnx_file import QualityGraph
from segassess.models.onnx_graph import OnnxGraph
from segassess.synthetic import make_scene
from segassess.synthetic.perturbations import RECIPES, perturb

# A batch of images and masks.
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Agreement:
    """Agreement of a graph with its network on one batch of shape (B, H, W).

    `max_error` is the largest difference of two probabilities. `other_class` counts pixels whose most probable class differs;
    `widest_gap` is torch's largest gap between the two most probable classes there (0 without such pixels).
    """

    shape: tuple[int, int, int]
    max_error: float
    other_class: int
    widest_gap: float


@dataclass(frozen=True)
class Speed:
    """Seconds per megapixel on a square image of `side` px: medians of alternating runs."""

    side: int
    torch: float
    onnx: float


def agreement(loaded: LoadedAssessor, graph: OnnxGraph, shape: tuple[int, int, int]) -> Agreement:
    """Compare a graph with its network, on the CPU, on a batch of `shape` (B, H, W)."""
    images, masks = generated_batch(shape)
    ours, theirs = _network(loaded)(images, masks), graph(images, masks)
    ranked = np.sort(ours, axis=1)
    differs = ours.argmax(axis=1) != theirs.argmax(axis=1)
    gaps = (ranked[:, -1] - ranked[:, -2])[differs]
    return Agreement(shape, float(np.abs(ours - theirs).max()), int(differs.sum()), float(gaps.max(initial=0)))


def other_share(found: Sequence[Agreement]) -> float:
    """Share of the pixels of all batches whose most probable class differs; a small batch alone has too few for a share."""
    return sum(each.other_class for each in found) / sum(math.prod(each.shape) for each in found)


def check_shapes(graph: OnnxGraph) -> list[tuple[int, int, int]]:
    """Batches (B, H, W) whose number and, where allowed, size differ from the traced ones and from each other."""
    size, multiple = graph.metadata.size, graph.metadata.pad_multiple
    if size is not None:
        return [(1, size, size), (2, size, size)]
    return [(1, 256, 256), (3, 2 * multiple, multiple), (2, 320, 448)]


def speed(loaded: LoadedAssessor, graph: OnnxGraph, side: int, repeats: int) -> Speed:
    """Time network and graph on a square image of `side` px, alternating `repeats` runs after one warm-up each."""
    batch = generated_batch((1, side, side))
    runs: Sequence[Callable[..., object]] = (_network(loaded), graph)
    seconds: list[list[float]] = [[], []]
    for _ in range(repeats + 1):
        for run, times in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run(*batch)
            times.append(time.perf_counter() - start)
    ours, theirs = (median(times[1:]) / (side * side / 1e6) for times in seconds)
    return Speed(side, ours, theirs)


def generated_batch(shape: tuple[int, int, int]) -> Batch:
    """Generated scenes with partly wrong masks: float32 (B, 3, H, W) and (B, 1, H, W)."""
    number, height, width = shape
    images, masks = [], []
    for seed in range(1, number + 1):
        scene = make_scene(seed, (height, width))
        mask = perturb(scene.truth["building"], scene.image, np.random.default_rng(seed), RECIPES["perturbed"])
        images.append(scene.image.transpose(2, 0, 1).astype(np.float32) / 255)
        masks.append(mask[None].astype(np.float32))
    return np.stack(images), np.stack(masks)


def _network(loaded: LoadedAssessor) -> Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]:
    network = QualityGraph(loaded.assessor, loaded.description.decoding, loaded.description.calibration).eval()

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = network(torch.from_numpy(images), torch.from_numpy(masks))[0].numpy()
        return result

    return run
