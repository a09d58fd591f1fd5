"""A calibration that looks at a layer have corrected, as a file that `segassess calibrate` writes and `predict.py` reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segassess.errors import RequestError
from segassess.files import write_json
from segassess.models.calibration import Calibration
from segassess.quality import Decoding

CALIBRATION = "calibration.json"
# Where P(error) of a pixel is that of its own pair of classes.
NEEDED_DECODING: Decoding = "consistent"


@dataclass(frozen=True)
class Recalibration:
    """Corrects what one assessor gives, with or without a fit to the layer; `correction` maps its calibrated probabilities."""

    correction: Calibration
    checkpoint: str  # digest of the assessor
    fitted: bool

    def require(self, path: Path, checkpoint: str, fitted: bool) -> Calibration:
        """The correction; RequestError, which names the file, if it is that of another assessor or of one with another fit."""
        if checkpoint != self.checkpoint:
            raise RequestError(
                f"calibration={path} was made for the assessor {self.checkpoint}, and this is {checkpoint}; calibrate this one."
            )
        if fitted != self.fitted:
            before, now = ("with" if each else "without" for each in (self.fitted, fitted))
            raise RequestError(f"calibration={path} was made {before} a fit to the layer, this is {now} one; calibrate again.")
        return self.correction

    def write(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write the file, with what a reader may want to know `about` it."""
        scales = self.correction.as_dict()
        own = {"fp": scales["fp"], "fn": scales["fn"], "checkpoint": self.checkpoint, "fitted": self.fitted}
        write_json(path, {**about, **own}, indent=1)

    @classmethod
    def read(cls, path: Path) -> "Recalibration":
        """Read what `write` wrote; RequestError if the file is missing or of another kind."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            correction = Calibration.from_dict({name: content[name] for name in ("fp", "fn")})
            return cls(correction, str(content["checkpoint"]), bool(content["fitted"]))
        except FileNotFoundError as error:
            raise RequestError(f"calibration={path} does not exist; give the file that segassess calibrate wrote.") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(f"calibration={path} is no calibration; give the file that segassess calibrate wrote.") from error
