"""`export.py`: an assessor as ONNX graphs, a Hugging Face folder and a STAC item."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.errors import ConfigError, RequestError
from segassess.files import write_json
from segassess.models.assessor.trained_assessor import MODEL_FILE, LoadedAssessor
from segassess.models.export.agreement import Agreement, Speed, agreement, check_shapes, other_share, speed
from segassess.models.export.huggingface import CARD_FILE, CONFIG_FILE, save_pretrained
from segassess.models.export.int8 import write_int8
from segassess.models.export.model_card import ModelCard, card_of
from segassess.models.export.onnx_file import DEFAULT_SIZE, write_onnx
from segassess.models.export.stac import stac_item
from segassess.models.loading import OnnxAssessor
from segassess.models.onnx_graph import OnnxGraph

log = logging.getLogger(__name__)

GRAPH_FILE, INT8_FILE, HUGGINGFACE_FOLDER, ITEM_FILE = "assessor.onnx", "assessor_int8.onnx", "huggingface", "stac_item.json"
FILES = {
    "onnx": (GRAPH_FILE,),
    "onnx_int8": (INT8_FILE,),
    "huggingface": tuple(f"{HUGGINGFACE_FOLDER}/{name}" for name in (MODEL_FILE, CONFIG_FILE, CARD_FILE)),
    "stac": (ITEM_FILE,),
}


def run(config: DictConfig) -> None:
    """Write the wanted formats and compare the graph with torch.

    Raises RequestError if a file exists already, or the graph differs from torch by more than the tolerance.
    """
    output, formats = build.local_folder(config.output_dir), build.as_list(config.formats)
    if not formats:
        raise ConfigError(f"formats must be a list of some of {', '.join(FILES)}, not {formats}.")
    if "stac" in formats and not {"onnx", "huggingface"} & set(formats):
        raise ConfigError("formats=[stac] alone would describe no file; add onnx or huggingface.")
    there = [output / name for each in formats for name in FILES[each] if (output / name).exists()]
    if there and not config.overwrite:
        raise RequestError(f"{there[0]} exists already; set overwrite=true to replace it, or give another output_dir.")
    loaded = build.stored_assessor(config)
    if isinstance(loaded.assessor, OnnxAssessor):
        raise ConfigError(f"checkpoint={config.checkpoint} is an exported graph; give its original checkpoint.")
    checkpoint = Path(config.checkpoint)
    name = config.name or checkpoint.resolve().stem
    card = card_of(checkpoint, loaded, name, config.licence)
    size = _write_onnx(config, loaded, output) if "onnx" in formats else None
    if "onnx_int8" in formats:
        _write_int8(config, loaded, output, output / GRAPH_FILE if "onnx" in formats else None)
    if "huggingface" in formats:
        save_pretrained(output / HUGGINGFACE_FOLDER, loaded, card)
    if "stac" in formats:
        _write_item(loaded, card, formats, output, size)
    _print_files([output / file for each in formats for file in FILES[each]])


def _write_onnx(config: DictConfig, loaded: LoadedAssessor, output: Path) -> int | None:
    """Write and check the graph; returns its one size in pixels, or None for any."""
    path = output / GRAPH_FILE
    metadata = write_onnx(path, loaded, size=config.onnx.size, opset=config.onnx.opset)
    for each in _compared("The graph", path, loaded, config.check.speed_repeats):
        if not (each.max_error <= config.check.tolerance and each.widest_gap <= config.check.tolerance):
            # Leave no wrong export behind.
            path.unlink()
            raise RequestError(
                f"The graph differs from torch by {each.max_error:.2g} at {each.shape}, more than check.tolerance="
                f"{config.check.tolerance:g}, and was removed; this assessor cannot be exported by this version of torch."
            )
    if metadata.size is not None:
        log.info("The encoder %s fixes the size of the graph at %d px.", loaded.description.encoder["name"], metadata.size)
    return metadata.size


def _write_int8(config: DictConfig, loaded: LoadedAssessor, output: Path, exact: Path | None) -> None:
    """Write and check the graph of 8 bits, from the one of 32 bits at `exact`, or from a passing one if there is none."""
    path = output / INT8_FILE
    with TemporaryDirectory() as folder:
        if exact is None:
            exact = Path(folder) / GRAPH_FILE
            write_onnx(exact, loaded, size=config.onnx.size, opset=config.onnx.opset)
        write_int8(path, exact)
    share = other_share(_compared("The graph of 8 bits", path, loaded, config.check.speed_repeats))
    if not share <= config.check.other_share:
        path.unlink()
        raise RequestError(
            f"The graph of 8 bits gives {share:.2%} of the pixels another class, more than "
            f"check.other_share={config.check.other_share:g}, and was removed; leave onnx_int8 out of formats."
        )


def _compared(name: str, path: Path, loaded: LoadedAssessor, repeats: int) -> list[Agreement]:
    """Compare a graph with torch on generated scenes, time both if there are `repeats`, and print it."""
    graph = OnnxGraph(path, threads=torch.get_num_threads())
    found = [agreement(loaded, graph, shape) for shape in check_shapes(graph)]
    timed = speed(loaded, graph, graph.metadata.size or DEFAULT_SIZE, repeats) if repeats else None
    _print_agreement(name, found, timed)
    return found


def _write_item(loaded: LoadedAssessor, card: ModelCard, formats: list[str], output: Path, size: int | None) -> None:
    files = {}
    if "onnx" in formats:
        files["onnx"] = output / GRAPH_FILE
    if "huggingface" in formats:
        files["weights"] = output / HUGGINGFACE_FOLDER / MODEL_FILE
    write_json(output / ITEM_FILE, stac_item(loaded, card.name, files, output, card.licence, size))


def _print_agreement(name: str, found: list[Agreement], timed: Speed | None) -> None:
    table = Table(title=f"{name} in onnxruntime beside torch")
    for heading in ("batch x height x width", "largest difference", "pixels of another class"):
        table.add_column(heading, justify="right")
    for each in found:
        differing = f"{each.other_class} ({other_share([each]):.2%})"
        table.add_row(" x ".join(map(str, each.shape)), f"{each.max_error:.1e}", differing)
    Console(width=120).print(table)
    if timed is not None:
        print(
            f"Seconds per megapixel at {timed.side} px, {torch.get_num_threads()} threads: torch {timed.torch:.2f}, onnxruntime "
            f"{timed.onnx:.2f}: {timed.torch / timed.onnx:.2f} times the speed."
        )


def _print_files(paths: list[Path]) -> None:
    table = Table(title="Written")
    table.add_column("file")
    table.add_column("MB", justify="right")
    for path in paths:
        table.add_row(str(path), f"{path.stat().st_size / 1e6:.2f}")
    Console(width=120).print(table)
