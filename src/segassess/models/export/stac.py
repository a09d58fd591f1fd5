"""An exported assessor as a STAC item, by https://github.com/stac-extensions/mlm (v1.4.0), classification and file."""

import datetime
import hashlib
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segassess.models.assessor.trained_assessor import LoadedAssessor
from segassess.models.onnx_graph import IMAGE, MASK, PROBABILITIES
from segassess.quality import CLASS_COLOURS, CLASS_LABELS, CLASS_NAMES, NUM_CLASSES
from segassess.version import __version__

EXTENSIONS = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json" for name in ("mlm/v1.4.0", "classification/v2.0.0", "file/v2.1.0")
)
BANDS = ("red", "green", "blue")
# multihash's code of SHA-256, and its length in bytes.
_SHA256 = "1220"


# Files of the model: title, media type, type of the artifact, and role beside `mlm:model`.
ASSETS = {
    "onnx": ("ONNX graph", "application/octet-stream; framework=onnxruntime", "onnx", "mlm:compiled"),
    "weights": ("Weights", "application/octet-stream; application=pytorch", "safetensors.torch.save", "mlm:weights"),
}


def stac_item(
    loaded: LoadedAssessor, name: str, files: Mapping[str, Path], folder: Path, licence: str | None, size: int | None = None
) -> dict[str, Any]:
    """The item as a JSON object; it has no geometry, because checkpoints do not record the place of the training imagery.

    `files`, in or below `folder`, go by their name in `ASSETS`. Without `licence` it is "other", STAC's word for not
    stated. `size` is the one height and width that the graph takes, or None.
    """
    description, training = loaded.description, loaded.description.training
    side = size or -1
    parameters = sum(parameter.numel() for parameter in loaded.assessor.parameters())
    onnx = "onnx" in files
    # Keys that hold anything but letters, digits, dots, dashes and underscores are not allowed.
    options: dict[str, Any] = {f"assessor.{key}": value for key, value in description.assessor.items()}
    options |= {f"encoder.{key}": value for key, value in description.encoder.items()}
    options |= {"decoding": description.decoding, "pad_multiple": loaded.assessor.pad_multiple, "segassess": __version__}
    options |= {f"calibration.{key}": value for key, value in description.calibration.as_dict().items()}
    properties: dict[str, Any] = {
        "datetime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": name,
        "description": "Judges a segmentation mask: for every pixel the probabilities that the mask is a true positive, false "
        "positive, true negative or false negative there.",
        "license": licence or "other",
        "mlm:name": model_name(name),
        "mlm:architecture": f"{description.assessor['name']} on {description.encoder['name']}",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": "ONNX" if onnx else "PyTorch",
        "mlm:framework_version": re.match(r"\d+\.\d+\.\d+", version("onnx" if onnx else "torch"))[0],  # type: ignore[index]
        "mlm:total_parameters": parameters,
        "mlm:memory_size": 4 * parameters,
        "mlm:pretrained": bool(training),
        "mlm:pretrained_source": _source(training),
        "mlm:accelerator": None,
        "mlm:batch_size_suggestion": 1,
        "mlm:input": [
            _input(
                IMAGE,
                BANDS,
                (-1, 3, side, side),
                "RGB in [0, 1]; height and width are multiples of pad_multiple.",
                {"type": "min-max", "minimum": 0, "maximum": 255},
            ),
            _input(MASK, (), (-1, 1, side, side), "The mask under evaluation: 1 where it has an object, 0 elsewhere."),
        ],
        "mlm:output": [
            {
                "name": PROBABILITIES,
                "description": "Channels are the classes; not calibrated.",
                "tasks": ["semantic-segmentation"],
                "result": _array((-1, NUM_CLASSES, side, side), "class"),
                "classification:classes": [
                    {
                        "value": code,
                        "name": short.lower(),
                        "title": short,
                        "description": label,
                        "color_hint": "".join(f"{part:02X}" for part in colour[:3]),
                    }
                    for code, (short, label, colour) in enumerate(zip(CLASS_NAMES, CLASS_LABELS, CLASS_COLOURS, strict=True))
                ],
                "post_processing_function": None,
            }
        ],
        "mlm:hyperparameters": options,
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS),
        "id": f"{model_name(name)}-{loaded.digest}",
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {key: _asset(key, file, folder) for key, file in files.items()},
    }


def model_name(name: str) -> str:
    """The name as the extension allows it: letters, digits, dots, dashes, underscores, from a letter to a letter or digit."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("_.-")
    return cleaned if re.fullmatch(r"[A-Za-z].+", cleaned) else f"segassess-{cleaned}".rstrip("-")


def _array(shape: tuple[int, ...], channel: str) -> dict[str, Any]:
    return {"shape": list(shape), "dim_order": ["batch", channel, "height", "width"], "data_type": "float32"}


def _input(
    name: str, bands: tuple[str, ...], shape: tuple[int, ...], description: str, scaling: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "bands": list(bands),
        "input": _array(shape, "channel"),
        "value_scaling": [scaling] if scaling else None,
        "resize_type": None,
        "pre_processing_function": None,
    }


def _source(training: Mapping[str, Any]) -> str | None:
    dataset = training.get("dataset")
    name = dataset.get("name") if isinstance(dataset, Mapping) else dataset
    return None if name is None else str(name)


def _asset(key: str, file: Path, folder: Path) -> dict[str, Any]:
    title, media_type, artifact_type, role = ASSETS[key]
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {
        "href": f"./{file.relative_to(folder).as_posix()}",
        "title": title,
        "type": media_type,
        "roles": ["mlm:model", role],
        # Those of the imagery that the model takes; the core schema has them in assets only.
        "bands": [{"name": band} for band in BANDS],
        "mlm:artifact_type": artifact_type,
        "file:size": file.stat().st_size,
        "file:checksum": _SHA256 + digest,
    }
