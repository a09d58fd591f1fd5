"""`python -m segassess.cli.backends image=FILE mask=FILE`: each backend's cost, and how far it differs from torch.

Prints a Markdown table. `checkpoint=FILE` judges with another assessor than the bundled one, `graphs=DIR` keeps the graphs.
"""

import sys
import tempfile
import time
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from segassess.api import load
from segassess.errors import ConfigError, SegAssessError
from segassess.options.assessor import Backend
from segassess.predict.windows import WindowNetwork


class _Timed:
    """A network that counts its CPU seconds and the pixels of the masks that it assessed."""

    def __init__(self, network: WindowNetwork) -> None:
        self._network = network
        self.seconds, self.pixels = 0.0, 0

    def encode(self, images: NDArray[np.float32]) -> Any:
        """See `WindowNetwork`."""
        began = time.process_time()
        features = self._network.encode(images)
        self.seconds += time.process_time() - began
        return features

    def probabilities(self, features: Any, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `WindowNetwork`."""
        began = time.process_time()
        result = self._network.probabilities(features, masks)
        self.seconds += time.process_time() - began
        self.pixels += masks.size
        return result


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = dict(each.split("=", 1) for each in given if "=" in each)
        if len(options) < len(given) or not {"image", "mask"} <= options.keys() <= {"image", "mask", "checkpoint", "graphs"}:
            raise ConfigError("give image=FILE and mask=FILE, and if wanted checkpoint=FILE and graphs=DIR.")
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            _compare(options["image"], options["mask"], options.get("checkpoint"), options.get("graphs", folder))
    except SegAssessError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def _compare(image: str, mask: str, checkpoint: str | None, graphs: str) -> None:
    print("| backend | network, CPU s per megapixel | before that, CPU s | pixels of another class | estimated IoU |")
    print("|---|---|---|---|---|")
    reference: NDArray[np.uint8] | None = None
    for backend in get_args(Backend):
        judge = load(checkpoint, backend=backend, graphs=graphs)
        timed = []
        for _ in range(2):  # a runtime prepares for the shapes that it meets
            network = _Timed(judge.settings.network)
            judged = replace(judge, settings=replace(judge.settings, network=network)).assess(image, mask)
            timed.append(network)
        first, second = timed
        codes = judged.quality
        reference = codes if reference is None else reference
        print(
            f"| {backend} | {second.seconds / second.pixels * 1e6:.2f} | {max(0.0, first.seconds - second.seconds):.1f} | "
            f"{(codes != reference).mean():.3%} | {judged.scores['estimated_iou']:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
