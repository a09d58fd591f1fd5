"""Augmented Mixup Sampling with frozen segmenters inside the training step.

The published implementation's order, checked against its recorded draws in `tests/training/test_online_ams.py`: for each image
one independently turned and mirrored view per segmenter, view i judged by segmenter i without gradient, thresholded, flattened
image by image, and shuffled by one permutation. All random numbers come from torch's CPU generator.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segassess.data.ams import draw_views, mixing_order
from segassess.data.batch import Batch
from segassess.errors import RequestError
from segassess.models.segmenters.fitted import FittedSegmenter


class OnlineAms:
    """Turns images into views with masks.

    Not an `nn.Module`, so that the frozen networks are neither trained nor stored with the assessor.

    Args:
        segmenters: one view of each image is made for each of them.
        keys: of the training tiles by name (see `data.tiles.Tile`).
        cross_fit: refuse tiles that all networks of a segmenter have learned from.

    Raises:
        RequestError: if there is no segmenter, or `cross_fit` refuses a tile.
    """

    def __init__(self, segmenters: Sequence[FittedSegmenter], keys: Mapping[str, str], cross_fit: bool) -> None:
        if not segmenters:
            raise RequestError("sampling=ams_online needs segmenters; name them in sampling.sources.")
        if cross_fit:
            for segmenter in segmenters:
                segmenter.refuse_seen(keys.values())
        self.segmenters = list(segmenters)
        self.keys = dict(keys)

    def to(self, device: torch.device) -> None:
        """Move the networks."""
        for segmenter in self.segmenters:
            for network in segmenter.networks:
                network.segmenter.to(device)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Batch:
        """Views of images with masks of the segmenters.

        Args:
            batch: B images with truth; the mask is ignored. Images that are not square are padded to squares with pixels that
                do not count.

        Returns:
            B x (number of segmenters) views, shuffled; `source` names the segmenter of each.
        """
        if batch.truth is None:
            raise ValueError("A training batch needs truth.")
        count = len(self.segmenters)
        views = draw_views(len(batch), count)

        def turned(planes: Tensor) -> Tensor:
            squares = _square(planes)
            return torch.stack([view.apply(square) for square, row in zip(squares, views, strict=True) for view in row])

        image, truth, valid = turned(batch.image), turned(batch.truth), turned(batch.valid)
        mask = torch.zeros_like(truth)
        for index, segmenter in enumerate(self.segmenters):
            mask[index::count] = _judge(segmenter, image[index::count], [self.keys[name] for name in batch.name])
        order = mixing_order(len(image))
        return Batch(
            image=image[order],
            mask=mask[order],
            truth=truth[order],
            valid=valid[order],
            name=[batch.name[position // count] for position in order],
            source=[self.segmenters[position % count].name for position in order],
        )


def _judge(segmenter: FittedSegmenter, images: Tensor, tiles: Sequence[str]) -> Tensor:
    """Masks float (B, 1, H, W) of images (B, 3, H, W), each by the network that may segment its tile."""
    masks = images.new_zeros((len(images), 1, *images.shape[-2:]))
    chosen = [segmenter.choose(tile)[0] for tile in tiles]
    for index in sorted(set(chosen)):
        rows = [row for row, choice in enumerate(chosen) if choice == index]
        network = segmenter.networks[index].segmenter
        # The reference judges in half precision on GPUs.
        with torch.autocast(images.device.type, dtype=torch.float16, enabled=images.device.type == "cuda"):
            masks[rows] = (network.probability(images[rows]) > segmenter.threshold).to(masks.dtype)
    return masks


def _square(planes: Tensor) -> Tensor:
    """(B, C, H, W) padded with zeros at the bottom or right to (B, C, S, S)."""
    height, width = planes.shape[-2:]
    side = max(height, width)
    return planes if height == width else F.pad(planes, (0, side - width, 0, side - height))
