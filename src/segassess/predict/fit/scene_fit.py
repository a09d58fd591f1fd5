"""The fit of a layer, for one of its scenes."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from segassess.models.calibration import Calibration
from segassess.predict.fit.blocks import Blocks
from segassess.predict.fit.fitted_layer import FittedLayer
from segassess.predict.fit.fusion import Fusion
from segassess.predict.tiling import Area


@dataclass(frozen=True)
class SceneFit:
    """Joins the fit of a layer with the assessor in windows of one scene.

    Attributes:
        layer: what was learned.
        fusion: how it is joined.
        blocks: of the scene; None for ground outside the layer.
        output: number of the mask's class in the layer.
    """

    layer: FittedLayer
    fusion: Fusion
    blocks: Blocks | None
    output: int = 0

    @property
    def calibration(self) -> Calibration:
        """Decides on joined probabilities."""
        return self.fusion.calibration

    @property
    def identity(self) -> str:
        """Text that changes with all that a result depends on."""
        about = [self.layer.digest, asdict(self.fusion), None if self.blocks is None else asdict(self.blocks), self.output]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def reference(self, area: Area, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """P(object) of the mask's class, float32 (h, w), see `FittedLayer.reference`."""
        return np.asarray(self.layer.reference(self.blocks, area, pixels)[self.output])

    def join(self, probabilities: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quality probabilities (4, h, w) of both; `probabilities` are the assessor's."""
        return self.fusion(probabilities, reference)
