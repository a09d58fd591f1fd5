"""The baseline that prompts Segment Anything with the mask, as SQA-SAM (arXiv 2312.09899), and compares per pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, label
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional as F

from segassess.errors import CheckpointError, ConfigError, RequestError
from segassess.models.assessor.base import AssessorOutput, ImageFeatures
from segassess.models.assessor.checkpoint import MisfitError, load_weights, read_tensors
from segassess.models.baselines.base import Baseline, BaselineContext
from segassess.models.baselines.odds import decide, from_truth_odds

MAX_COMPONENTS = 64
MAX_ODDS = 14.0
FOREGROUND = 1  # SAM's label of a point on the object


def load_sam(path: Path, kind: str) -> Any:
    """Segment Anything, frozen, in evaluation mode; raises ConfigError for an unknown size, CheckpointError for a wrong file."""
    kinds = [name for name in sam_model_registry if name != "default"]
    if kind not in kinds:
        raise ConfigError(f"sam.type must be one of {', '.join(kinds)}, not {kind!r}.")
    tensors = read_tensors(path)
    sam = sam_model_registry[kind](checkpoint=None)
    try:
        load_weights(sam, tensors, "own", file=path)
    except MisfitError as error:
        raise CheckpointError(
            f"{path} is no checkpoint of Segment Anything's {kind}; set sam.type to the one of {', '.join(kinds)} that fits it."
        ) from error
    return sam.eval().requires_grad_(False)


class SamAgreement(Baseline):
    """The truth is the union of SAM's answers to the mask's connected components, each prompted by box and innermost pixel.

    Objects that the mask misses entirely are therefore not found. Of more than MAX_COMPONENTS components the largest are asked,
    and the others count as right.
    """

    name = "sam_agreement"

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.sam = sam

    @classmethod
    def build(cls, context: BaselineContext) -> Self:
        """See `Baseline.build`."""
        if context.sam_checkpoint is None:
            raise RequestError(
                "sam_agreement needs a checkpoint of Segment Anything; get one from its authors "
                "(github.com/facebookresearch/segment-anything) and give sam.checkpoint=FILE sam.type=vit_b|vit_l|vit_h."
            )
        return cls(load_sam(context.sam_checkpoint, context.sam_type))

    @torch.no_grad()
    def encode_image(self, image: Tensor) -> ImageFeatures:
        """SAM's embedding (B, C, h/16, w/16) of images, float32 (B, 3, H, W) in [0, 1], resized to a longer side of 1024 px.

        The features' padded size is that of the resized image, before SAM pads it to a square.
        """
        size = (image.shape[-2], image.shape[-1])
        resized = ResizeLongestSide.get_preprocess_shape(*size, self.sam.image_encoder.img_size)
        scaled = F.interpolate(image * 255, resized, mode="bilinear", align_corners=False, antialias=True)
        return ImageFeatures(self.sam.image_encoder(self.sam.preprocess(scaled)), (), size, resized)

    @torch.no_grad()
    def assess(self, features: ImageFeatures, mask: Tensor, sources: Sequence[str] = ()) -> AssessorOutput:
        """See `Baseline.assess`."""
        embeddings = features.embedding.expand(len(mask), -1, -1, -1)
        odds = [
            self._truth_odds(embedding[None], one[0].cpu().numpy(), features)
            for embedding, one in zip(embeddings, mask > 0, strict=True)
        ]
        return from_truth_odds(torch.stack(odds), mask)

    def _truth_odds(self, embedding: Tensor, mask: NDArray[np.bool_], features: ImageFeatures) -> Tensor:
        """Log-odds (H, W) of the object, for one mask bool (H, W) of one embedded image (1, C, h, w)."""
        boxes, points, rest = prompts(mask)
        odds = torch.full(mask.shape, -MAX_ODDS, device=embedding.device)
        if len(boxes):
            # Pixels are asked in the resized image, as (x, y).
            factor = torch.tensor([new / old for new, old in zip(features.padded_size, features.size, strict=True)]).flip(0)
            factor = factor.to(embedding.device)
            sparse, dense = self.sam.prompt_encoder(
                points=(
                    torch.from_numpy(points).to(embedding.device)[:, None] * factor,
                    torch.full((len(points), 1), FOREGROUND, device=embedding.device),
                ),
                boxes=(torch.from_numpy(boxes).to(embedding.device).reshape(-1, 2, 2) * factor).flatten(1),
                masks=None,
            )
            answers, _ = self.sam.mask_decoder(
                image_embeddings=embedding,
                image_pe=self.sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            answers = self.sam.postprocess_masks(answers.float(), features.padded_size, features.size)
            odds = (answers.amax(dim=(0, 1)) - self.sam.mask_threshold).clamp(-MAX_ODDS, MAX_ODDS)
        odds = torch.where(torch.from_numpy(rest).to(odds.device), MAX_ODDS, odds)
        return decide(odds, odds > 0)


def prompts(
    mask: NDArray[np.bool_], limit: int = MAX_COMPONENTS
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """SAM's prompts for the `limit` largest components of a bool (H, W) mask, and a bool (H, W) of the others.

    Per component, largest first: box float32 (N, 4) as x0, y0, x1, y1 of first and last pixels, innermost pixel (N, 2) as x, y.
    """
    components, count = label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(components.ravel(), minlength=count + 1)[1:]
    chosen = np.argsort(-areas, kind="stable")[:limit]
    slices = find_objects(components)
    boxes, points = np.zeros((len(chosen), 4), np.float32), np.zeros((len(chosen), 2), np.float32)
    for place, index in enumerate(chosen):
        rows, columns = slices[index]
        # A frame of one pixel, so that the crop's border is outside.
        depth = distance_transform_edt(np.pad(components[rows, columns] == index + 1, 1))
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        boxes[place] = columns.start, rows.start, columns.stop - 1, rows.stop - 1
        points[place] = columns.start + column - 1, rows.start + row - 1
    return boxes, points, mask & ~np.isin(components, chosen + 1)
