"""What encoders cost: `python -m segassess.models.assessor.encoders.costs [TIMM_MODEL ...]` prints a table."""

import argparse
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from segassess.models.assessor.encoders.names import ENCODERS
from segassess.models.assessor.encoders.timm_encoder import timm_config

SIDE = 512
# Encoders of this project, with the licence of the weights that exist for them.
OWN: dict[str, tuple[Mapping[str, Any], str]] = {
    "efficientnet_lite0": ({"pretrained": False}, "Apache-2.0"),
    "efficientnet_lite1": ({"pretrained": False}, "Apache-2.0"),
    "efficientnet_lite2": ({"pretrained": False}, "Apache-2.0"),
    "sam_vit_b": ({}, "Apache-2.0"),
}
MODELS = (
    "tf_efficientnet_lite1.in1k",
    "convnext_tiny.dinov3_lvd1689m",
    "vit_small_patch16_dinov3.lvd1689m",
    "sam2_hiera_tiny.fb_r896_2pt1",
)


def cost(name: str, options: Mapping[str, Any]) -> tuple[float, float]:
    """Millions of parameters, and 10^9 multiply-adds for an image of `SIDE` x `SIDE` px."""
    encoder = ENCODERS[name](**options).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 3, SIDE, SIDE))
    return sum(each.numel() for each in encoder.parameters()) / 1e6, counter.get_total_flops() / 2e9


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m segassess.models.assessor.encoders.costs", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="TIMM_MODEL", help="models of timm; a choice of them if none is given")
    models = parser.parse_args(arguments).models
    rows = [(name, *cost(name, options), licence) for name, (options, licence) in ({} if models else OWN).items()]
    rows += [(model, *cost("timm", {"model": model}), timm_config(model).license or "unknown") for model in models or MODELS]
    print(f"| encoder | M parameters | 10^9 multiply-adds at {SIDE} px | licence of the weights |\n|---|---|---|---|")
    for name, parameters, operations, licence in rows:
        print(f"| {name} | {parameters:.1f} | {operations:.1f} | {licence} |")


if __name__ == "__main__":
    main()
