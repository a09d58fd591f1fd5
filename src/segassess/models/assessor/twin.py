"""Two encoders, one decoder: the mask meets the image from stride 4 on, at every stride, instead of once and late.

A pretrained encoder reads the image once. A light second one reads the mask, its signed distance to the outline and, unless told
otherwise, the image's pixels, and takes in the image's features at strides 4, 8 and 16. A U-Net decoder (arXiv 1505.04597)
brings the result back to stride 2, from where four logits per pixel are shuffled to full resolution. Why: docs/decisions/0007.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segassess.models.assessor.base import Assessor, AssessorOutput, ChannelNorm, ImageFeatures, resize
from segassess.models.assessor.encoders.base import ImageEncoder
from segassess.models.assessor.outline_means import OutlineMeans
from segassess.quality import NUM_CLASSES

# Radii in pixels at which `outline_distance` looks; it resolves a step of the outline's distance where they lie close.
RADII = (1, 2, 3, 5, 8)
# Channels of the second encoder and the decoder at strides 2, 4, 8, 16 and 32.
WIDTHS = (24, 40, 64, 96, 96)
OBJECT_PRIOR_LOGIT = -1.0
# The mask, and its distance to the outline.
MASK_PLANES = 2


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, ChannelNorm(outputs), nn.ReLU(inplace=True))


def outline_distance(mask: Tensor) -> Tensor:
    """Signed chessboard distance to the mask's outline, in steps that widen with it.

    The image's border is no outline. Takes a mask, float (B, 1, h, w) in {0, 1}, and returns float (B, 1, h, w) in [-1, 1]: the
    share of `RADII` below the distance to the nearest pixel of the other kind, positive inside the mask and negative outside. It
    rises with the distance, up to 8 px.
    """
    grown = torch.cat([mask <= 0, mask > 0], dim=1)  # what lies within the radius of each kind
    reached, radius = torch.zeros_like(mask).expand(-1, 2, -1, -1), 0
    for wider in RADII:
        grown = _grown(_grown(grown, wider - radius, -2), wider - radius, -1)
        reached, radius = reached + grown, wider
    share = 1 - reached / len(RADII)
    return torch.where(mask > 0, share[:, :1], -share[:, 1:])


def _grown(planes: Tensor, radius: int, dim: int) -> Tensor:
    """Whether a pixel is set up to `radius` pixels away along `dim`: bool (B, C, h, w) -> same. Much faster than max-pooling."""
    length = planes.shape[dim]
    padded = F.pad(planes, (0, 0, radius, radius) if dim == -2 else (radius, radius))
    result = planes
    for start in (*range(radius), *range(radius + 1, 2 * radius + 1)):
        result = result | padded.narrow(dim, start, length)
    return result


@dataclass(frozen=True)
class TwinFeatures(ImageFeatures):
    """Image features, and what is derived from the image alone, so that K masks share it.

    `image` is float (B, 3, h, w), scaled as the encoder expects, None if the second encoder reads no colours; `pixels` float (B,
    40, h/4, w/4); `object_logits` float (B, 1, h/4, w/4), the truth as the image alone lets it be seen.
    """

    image: Tensor | None
    pixels: Tensor
    object_logits: Tensor


class TwinAssessor(Assessor):
    """An encoder of the image and a light one of the mask, joined at every stride.

    Of the image encoder the levels nearest to strides 4 and 8 are read, and its embedding. With `outline_means` a pixel of
    the mask hears its neighbours there, see `OutlineMeans`. With `colours` the second encoder reads the image's pixels as well.
    """

    def __init__(self, encoder: ImageEncoder, *, outline_means: bool = False, colours: bool = True) -> None:
        super().__init__()
        self.pad_multiple = max(32, encoder.pad_multiple)
        self._take(encoder)
        half, quarter, eighth, sixteenth, last = WIDTHS
        self.fine = [encoder.level_near(stride) for stride in (4, 8)]
        self.image4 = nn.Conv2d(encoder.level_dims[self.fine[0]], quarter, 1)
        self.image8 = nn.Conv2d(encoder.level_dims[self.fine[1]], quarter, 1)
        self.image16 = nn.Conv2d(encoder.embedding_dim, quarter, 1)
        self.pixels = _conv(quarter, quarter)
        self.object_head = nn.Conv2d(quarter, 1, 1)
        nn.init.constant_(cast(Tensor, self.object_head.bias), OBJECT_PRIOR_LOGIT)

        # Image, mask and distance of 2 x 2 pixels.
        self.reads_colours = colours
        self.enter2 = _conv(4 * (MASK_PLANES + 3 * colours), half)
        self.down4 = _conv(half, quarter, 2)
        self.join4 = nn.Sequential(nn.Conv2d(2 * quarter + 2, quarter, 1), _conv(quarter, quarter))
        self.down8 = _conv(quarter, eighth, 2)
        self.join8 = nn.Sequential(nn.Conv2d(eighth + encoder.level_dims[self.fine[1]], eighth, 1), _conv(eighth, eighth))
        self.down16 = _conv(eighth, sixteenth, 2)
        self.join16 = nn.Sequential(nn.Conv2d(sixteenth + encoder.embedding_dim, sixteenth, 1), _conv(sixteenth, sixteenth))
        self.down32 = nn.Sequential(_conv(sixteenth, last, 2), _conv(last, last))

        self.up16 = _conv(last + sixteenth, sixteenth)
        self.up8 = _conv(sixteenth + eighth, eighth)
        self.up4 = _conv(eighth + quarter, quarter)
        self.up2 = _conv(quarter + half, half)
        self.head = nn.Conv2d(half, 4 * NUM_CLASSES, 1)
        self.outline_means = OutlineMeans() if outline_means else None
        # As in `compact`: the encoder's depthwise convolutions run faster on CPUs in this layout.
        self.to(memory_format=torch.channels_last)

    def encode_image(self, image: Tensor) -> TwinFeatures:
        """Encode images once for any number of masks; object logits are part of it, see the base class."""
        features = super().encode_image(image)
        height, width = features.padded_size
        levels, quarter, eighth = features.levels, (height // 4, width // 4), (height // 8, width // 8)
        coarse = resize(self.image16(features.embedding), eighth) + resize(self.image8(levels[self.fine[1]]), eighth)
        pixels = self.pixels(resize(coarse, quarter) + resize(self.image4(levels[self.fine[0]]), quarter))
        scaled = None
        if self.reads_colours:
            image = F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]), mode="replicate")
            scaled = (image - self.mean) / self.std
        return TwinFeatures(**vars(features), image=scaled, pixels=pixels, object_logits=self.object_head(pixels))

    def completed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A checkpoint without outline means gets `OutlineMeans.NEUTRAL`, and loses weights of colours that are not read."""
        tensors = dict(tensors)
        if self.outline_means is not None:
            tensors.setdefault("outline_means.weights", torch.tensor(self.outline_means.NEUTRAL))
        entry = "enter2.0.weight"
        if not self.reads_colours and entry in tensors:
            tensors[entry] = tensors[entry][:, -4 * MASK_PLANES :]
        return tensors

    def _assess(self, features: ImageFeatures, mask: Tensor) -> AssessorOutput:
        assert isinstance(features, TwinFeatures), "features come from encode_image"
        height, width = mask.shape[-2], mask.shape[-1]
        with torch.no_grad():
            planes = torch.cat([mask * 2 - 1, outline_distance(mask)], dim=1)  # (B, 2, h, w)
            if features.image is not None:
                planes = torch.cat([features.image, planes], dim=1)  # (B, 5, h, w)
        seen2 = self.enter2(F.pixel_unshuffle(planes, 2))
        probability = features.object_logits.sigmoid()
        # From -1, object and mask contradict each other, to 1, they agree.
        agreement = (2 * probability - 1) * (2 * F.avg_pool2d(mask, 4) - 1)
        seen4 = self.join4(torch.cat([self.down4(seen2), features.pixels, probability, agreement], dim=1))
        level8 = resize(features.levels[self.fine[1]], (height // 8, width // 8))
        seen8 = self.join8(torch.cat([self.down8(seen4), level8], dim=1))
        seen16 = self.join16(torch.cat([self.down16(seen8), features.embedding], dim=1))
        decoded = self.down32(seen16)
        for up, seen in ((self.up16, seen16), (self.up8, seen8), (self.up4, seen4), (self.up2, seen2)):
            decoded = up(torch.cat([resize(decoded, (seen.shape[-2], seen.shape[-1])), seen], dim=1))
        logits = F.pixel_shuffle(self.head(decoded), 2)  # (B, 4, h, w)
        if self.outline_means is not None:
            logits = self.outline_means(logits, mask)
        return AssessorOutput(logits, object_logits=resize(features.object_logits, (height, width)))
