"""The model card of an exported assessor: Markdown with Hugging Face's front matter."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.version import __version__

METRICS = ("mean_iou", "f1", "mae")
TAGS = ("segassess", "remote-sensing", "image-segmentation", "quality-assessment", "segmentation-masks")

_USE = """
## Use

Image and mask in, and for every pixel whether the mask is a true positive, false positive, true negative or false negative there.

```python
from segassess.models.export.huggingface import from_pretrained

assessor = from_pretrained("{place}").assessor
output = assessor(image, mask)  # float32 (B, 3, H, W) in [0, 1] and (B, 1, H, W) in {{0, 1}}; quality logits (B, 4, H, W)
```
"""


@dataclass(frozen=True)
class ModelCard:
    """A model card: `licence` is the weights' SPDX identifier (None: not stated), `text` is Markdown without front matter."""

    name: str
    licence: str | None
    text: str

    def markdown(self, loaded: LoadedAssessor, place: str) -> str:
        """The whole card; `place` is the argument that `from_pretrained` is to get."""
        training = loaded.description.training
        # JSON is YAML, and its quotes hold whatever a data set is called.
        front = {
            "license": (self.licence or "unknown").lower(),
            "library_name": "segassess",
            "pipeline_tag": "image-segmentation",
            "tags": list(TAGS),
            "datasets": _datasets(training.get("dataset")),
            "metrics": list(METRICS),
        }
        matter = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
        return f"---\n{matter}\n---\n\n{self.text.strip()}\n{_USE.format(place=place)}"


def card_of(checkpoint: Path, loaded: LoadedAssessor, name: str, licence: str | None = None) -> ModelCard:
    """The `README.md` beside a checkpoint if it names it, or else a generated card; its licence table is the fallback."""
    beside = checkpoint.with_name("README.md")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else ""
    if f"`{checkpoint.name}`" not in text:
        return generated_card(loaded, name, licence)
    found = re.search(r"^\| licence \| ([A-Za-z0-9.+-]+)", text, re.MULTILINE)
    # Links to files of the repository lead nowhere elsewhere.
    text = re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)
    return ModelCard(name, licence or (found[1] if found else None), text)


def generated_card(loaded: LoadedAssessor, name: str, licence: str | None = None) -> ModelCard:
    """A card generated from the description."""
    description = loaded.description
    training = description.training
    parameters = sum(parameter.numel() for parameter in loaded.assessor.parameters())
    rows = {
        "architecture": f"assessor {description.assessor['name']} on encoder {description.encoder['name']}",
        "parameters": f"{parameters:,}",
        "decoding": description.decoding,
        "calibrated on masks of": ", ".join(training.get("calibration_sources", [])),
        "data": ", ".join(_datasets(training.get("dataset"))),
        "trained on masks of": ", ".join(training.get("sources", [])),
        "held out": ", ".join(training.get("held_out", [])),
        "seed": training.get("seed"),
        "checkpoint": f"SHA-256 {loaded.digest}...",
        "written by": f"segassess {__version__}",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items() if value not in (None, ""))
    stated = "\n".join(["# Model card: " + name, "", "As the checkpoint describes itself.", "", "| | |", "|---|---|", table])
    return ModelCard(name, licence, f"{stated}\n\nIts quality was not stated; measure it with `evaluate.py`.")


def _datasets(dataset: Any) -> list[str]:
    """Names in the record of a training's data set, and of those within it."""
    if not isinstance(dataset, Mapping):
        return [str(dataset)] if isinstance(dataset, str) else []
    names = [dataset["name"]] if isinstance(dataset.get("name"), str) else []
    for child in dataset.values():
        names += _datasets(child) if isinstance(child, Mapping) else []
    return list(dict.fromkeys(names))
