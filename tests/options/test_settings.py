"""What Python users make refuses the values that a config refuses, with the same sentence."""

import subprocess
import sys

import numpy as np
import pytest

from segassess.api import OutputSettings, Rendering, Tiling
from segassess.data.datamodule import SamplingSettings
from segassess.errors import ConfigError
from segassess.options.checking import faults
from segassess.options.option import defaults
from segassess.options.scripts import SCRIPTS
from segassess.training.module import Schedule


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (Tiling, "window", 100),
        (Tiling, "window", 640.0),
        (Tiling, "overlap", 512),
        (Tiling, "batch_size", True),
        (OutputSettings, "rim_px", 2.5),
        (OutputSettings, "rim_px", 9),
        (OutputSettings, "simplify_px", -1),
        (OutputSettings, "simplify_px", float("nan")),
        (OutputSettings, "review_tile", [1]),
        (OutputSettings, "min_area_m2", "abc"),
        (OutputSettings, "formats", ["shp"]),
        (OutputSettings, "formats", "gpkg"),
        (Rendering, "percentiles", 5),
        (Rendering, "percentiles", (98, 2)),
        (Rendering, "value_range", (1, float("inf"))),
        (Rendering, "bands", (1, 2)),
        (SamplingSettings, "selection_share", 0.7),
        (Schedule, "name", "linear"),
        (Schedule, "warmup", 1),
    ],
)
def test_settings_and_configs_refuse_the_same_with_the_same_sentence(make, name, value):
    with pytest.raises(ConfigError, match=rf"^{make.KEY}\.{name} must be") as error:
        make(**{name: value})
    if make.KEY in ("tiling", "output", "rendering"):
        config = defaults(SCRIPTS["predict"])
        config[make.KEY][name] = value
        assert str(error.value) in [sentence for _, sentence in faults(config, SCRIPTS["predict"])]


def test_settings_take_numbers_of_numpy_and_lists():
    assert Tiling(window=np.int64(128), overlap=np.int64(32)).stride == 96
    assert Rendering(bands=[3, 2, 1]).bands == (3, 2, 1)
    assert OutputSettings(simplify_px=np.float32(0.5)).simplify_px == 0.5


def test_options_import_nothing_heavy():
    code = "import sys, segassess.options.scripts; print([m for m in ('torch', 'numpy', 'hydra') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
