"""A segmenter fitted to a data set, and the choice of which of its networks may segment which image."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from segassess.data.mask_records import Seen
from segassess.errors import CheckpointError, RequestError
from segassess.models.segmenters.trained_segmenter import StoredSegmenter, load_segmenter

FULL = "full.safetensors"
# Memory for the maps that `FittedSegmenter.probability` keeps; 1,024 tiles of 256 px.
KEPT_BYTES = 256 * 2**20


def fold_file(fold: int) -> str:
    """File name of the network that left fold `fold` (from 0) out."""
    return f"fold{fold}.safetensors"


class FittedSegmenter:
    """The networks of one segmenter: the one for new images first, then one per fold, which left that fold out.

    Raises RequestError if there is no network, or architectures or thresholds differ.
    """

    def __init__(self, networks: Sequence[StoredSegmenter]) -> None:
        if len({(network.description.name, network.description.threshold) for network in networks}) != 1:
            raise RequestError(
                "The networks of a segmenter must share one architecture and threshold, not "
                f"{', '.join(sorted(f'{net.description.name} at {net.description.threshold}' for net in networks)) or 'none'}."
            )
        self.networks = list(networks)
        self.name = networks[0].description.name
        self.threshold = networks[0].description.threshold
        self._trained_on = [frozenset(network.description.trained_on) for network in networks]
        self._selected_on = [frozenset(network.description.selected_on) for network in networks]
        self._maps: OrderedDict[tuple[int, tuple[int, ...], bytes], Tensor] = OrderedDict()

    @classmethod
    def load(cls, path: Path, name: str) -> "FittedSegmenter":
        """Load a file, or a folder's `full.safetensors` and `fold<k>.safetensors`; CheckpointError unless all are of `name`."""
        files = [path]
        if path.is_dir() or not (path.suffix or path.is_file()):
            files = [path / FULL, *sorted(path.glob("fold*.safetensors"))]
            if not files[0].is_file():
                raise CheckpointError(
                    f"{files[0]} does not exist; train the segmenter with train.py task=crossfit or task=segmenter."
                )
        fitted = cls([load_segmenter(file) for file in files])
        if fitted.name != name:
            raise CheckpointError(f"{path} holds networks of {fitted.name}, not of {name}; give the folder of {name}.")
        return fitted

    def choose(self, tile: str) -> tuple[int, Seen]:
        """Index of the first network that never learned from a tile (its key), else 0, and how it has used the tile."""
        index = next((index for index, names in enumerate(self._trained_on) if tile not in names), 0)
        if tile in self._trained_on[index]:
            return index, "trained"
        return index, "selected" if tile in self._selected_on[index] else "no"

    def probability(self, index: int, image: Tensor) -> Tensor:
        """Probability of the object, float32 (B, 1, H, W), that a network gives for images, float32 (B, 3, H, W) in [0, 1].

        It is computed where the images are. The maps of the last images are kept, because several baselines ask for the same.
        """
        key = index, tuple(image.shape), hashlib.sha256(image.cpu().numpy().tobytes()).digest()
        if key in self._maps:
            self._maps.move_to_end(key)
            return self._maps[key].to(image.device)
        found: Tensor = self.networks[index].segmenter.to(image.device).probability(image).float()
        self._maps[key] = found
        while sum(each.nbytes for each in self._maps.values()) > KEPT_BYTES:
            self._maps.popitem(last=False)
        return found

    def refuse_seen(self, tiles: Iterable[str]) -> None:
        """Raise RequestError for the first tile, given by key, that every network has learned from."""
        if seen := next((tile for tile in tiles if self.choose(tile)[1] == "trained"), None):
            raise RequestError(
                f"All networks of {self.name} have learned from {seen}; add networks that left it out with "
                f"train.py task=crossfit segmenter={self.name}, or set sampling.cross_fit=false."
            )
