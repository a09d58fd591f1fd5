"""Augmented Mixup Sampling with frozen segmenters inside the training step.

Random numbers come from torch's CPU generator in the order of `Yangbn97/SegAssess`, checked against its recorded draws in
`tests/training/test_online_ams.py`.
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
    """Turns images into turned and mirrored views, one per segmenter and image, with that segmenter's masks.

    `keys` maps tile names to `Tile.key`. Raises RequestError without segmenters, or if `cross_fit` is on and all networks of a
    segmenter have learned from a tile. It is not an `nn.Module`, so that the networks are neither trained nor stored.
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
        """Make B x (number of segmenters) shuffled views of B images with truth; `source` names each view's segmenter.

        The masks of the batch are ignored. Images that are not square are padded with pixels that do not count.
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
    """Masks float (B, 1, H, W) of images (B, 3, H, W), each by a network that may segment its tile."""
    masks = images.new_zeros((len(images), 1, *images.shape[-2:]))
    chosen = [segmenter.choose(tile)[0] for tile in tiles]
    for index in sorted(set(chosen)):
        rows = [row for row, choice in enumerate(chosen) if choice == index]
        network = segmenter.networks[index].segmenter
        # The reference segments in half precision on GPUs.
        with torch.autocast(images.device.type, dtype=torch.float16, enabled=images.device.type == "cuda"):
            masks[rows] = (network.probability(images[rows]) > segmenter.threshold).to(masks.dtype)
    return masks


def _square(planes: Tensor) -> Tensor:
    """Pad (B, C, H, W) with zeros at the bottom or right to (B, C, S, S)."""
    height, width = planes.shape[-2:]
    side = max(height, width)
    return planes if height == width else F.pad(planes, (0, side - width, 0, side - height))
