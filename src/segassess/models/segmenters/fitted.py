"""A segmenter fitted to a data set: the network that learned from all training images, and those that each left a fold out.

Which network may segment which image is decided here, for masks that are written and for masks that are drawn during training.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from segassess.data.mask_records import Seen
from segassess.errors import CheckpointError, RequestError
from segassess.models.segmenters.trained_segmenter import StoredSegmenter, load_segmenter

FULL = "full.safetensors"


def fold_file(fold: int) -> str:
    """File name of the network that left fold `fold` (from 0) out."""
    return f"fold{fold}.safetensors"


class FittedSegmenter:
    """The networks of one segmenter.

    Args:
        networks: the one for new images first, then those of the folds.

    Raises:
        RequestError: if there is none, or they are of several architectures or thresholds.
    """

    def __init__(self, networks: Sequence[StoredSegmenter]) -> None:
        if len({(network.description.name, network.description.threshold) for network in networks}) != 1:
            raise RequestError(
                "The networks of a segmenter must be of one architecture and threshold, not "
                f"{', '.join(sorted(f'{net.description.name} at {net.description.threshold}' for net in networks)) or 'none'}."
            )
        self.networks = list(networks)
        self.name = networks[0].description.name
        self.threshold = networks[0].description.threshold
        self._trained_on = [frozenset(network.description.trained_on) for network in networks]
        self._selected_on = [frozenset(network.description.selected_on) for network in networks]

    @classmethod
    def load(cls, path: Path, name: str) -> "FittedSegmenter":
        """Load a folder with `full.safetensors` and `fold<k>.safetensors`, or a single file.

        Args:
            path: the folder or file.
            name: what the segmenter must be called, so that none passes under another's name (a held-out one above all).

        Raises:
            CheckpointError: if there is no such file, one cannot be read, or it is another segmenter.
        """
        fitted = cls._load(path)
        if fitted.name != name:
            raise CheckpointError(f"{path} holds networks of {fitted.name}, not of {name}; give segmenters their own names.")
        return fitted

    @classmethod
    def _load(cls, path: Path) -> "FittedSegmenter":
        if path.is_dir():
            folds = sorted(path.glob("fold*.safetensors"))
            if not (path / FULL).is_file():
                raise CheckpointError(
                    f"{path / FULL} does not exist; train the segmenter with train.py task=crossfit or task=segmenter."
                )
            return cls([load_segmenter(file) for file in (path / FULL, *folds)])
        if not path.exists() and not path.suffix:
            raise CheckpointError(
                f"The folder {path} does not exist; train the segmenter with train.py task=crossfit or task=segmenter."
            )
        return cls([load_segmenter(path)])

    def choose(self, tile: str) -> tuple[int, Seen]:
        """Which network segments a tile: the first that never learned from it, else the first of all.

        Args:
            tile: its key (see `data.tiles.Tile`).

        Returns:
            Index into `networks`, and what that network had to do with the tile.
        """
        index = next((index for index, names in enumerate(self._trained_on) if tile not in names), 0)
        if tile in self._trained_on[index]:
            return index, "trained"
        return index, "selected" if tile in self._selected_on[index] else "no"

    def refuse_seen(self, tiles: Iterable[str]) -> None:
        """Refuse to segment tiles, given by key, that every network learned from.

        Raises:
            RequestError: names the first such tile and what to do.
        """
        if seen := next((tile for tile in tiles if self.choose(tile)[1] == "trained"), None):
            raise RequestError(
                f"All networks of {self.name} have learned from {seen}; add networks that left it out with "
                f"train.py task=crossfit segmenter={self.name}, or set sampling.cross_fit=false."
            )
