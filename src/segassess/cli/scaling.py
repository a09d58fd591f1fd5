"""`evaluate.py task=scaling`: the cost of scene size and window choice in `predict.py`."""

from dataclasses import asdict
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from segassess.cli import build
from segassess.evaluation.scaling import Cost, Difference, compare_windows, measure_sizes
from segassess.files import write_json

RESULT = "scaling.json"
# Keys that this command sets itself.
_OWN_KEYS = ("task", "image", "mask", "output_dir", "scaling", "overwrite", "hydra")


def run(config: DictConfig) -> float:
    """Measure, and print both tables; returns the megapixels per second of the largest mosaic."""
    settings, output = build.plain(config.scaling), build.local_folder(config.output_dir)
    given = [each for each in HydraConfig.get().overrides.task if each.lstrip("+~").split("=")[0].split(".")[0] not in _OWN_KEYS]
    image, mask = str(config.image), str(config.mask)
    costs = measure_sizes(image, mask, settings["sizes"], given, output)
    differences = compare_windows(image, mask, settings["windows"], given, output)
    write_json(output / RESULT, {"sizes": [asdict(cost) for cost in costs], "windows": [asdict(each) for each in differences]})
    _print(costs, differences, settings["windows"])
    return costs[-1].megapixels / costs[-1].seconds if costs else 0.0


def _print(costs: list[Cost], differences: list[Difference], windows: list[list[int]]) -> None:
    console = Console(width=120)
    table = Table(title="Size and cost")
    for heading in ("pixels", "megapixels", "seconds", "megapixels / s", "s per megapixel, to the first", "peak MB", "errors"):
        table.add_column(heading, justify="right")
    for cost in costs:
        relative = (cost.seconds / cost.megapixels) / (costs[0].seconds / costs[0].megapixels)
        row = f"{cost.height} x {cost.width}", f"{cost.megapixels:.1f}", f"{cost.seconds:.0f}"
        rates = f"{cost.megapixels / cost.seconds:.3f}", f"{relative:.2f}"
        table.add_row(*row, *rates, f"{cost.peak_megabytes:.0f}", str(cost.errors))
    console.print(table)
    if not differences:
        return
    comparison = Table(title=f"Windows, beside {windows[0][0]} px with an overlap of {windows[0][1]} px")
    for heading in ("window", "overlap", "pixels of another class", "mean |P(error)| apart", "99th percentile"):
        comparison.add_column(heading, justify="right")
    for each in differences:
        shares: tuple[Any, ...] = f"{100 * each.other_class:.3f} %", f"{each.mean_error:.4f}", f"{each.percentile_99_error:.3f}"
        comparison.add_row(str(each.window), str(each.overlap), *shares)
    console.print(comparison)
