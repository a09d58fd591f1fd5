"""`python composition_run.py RESULT SIDE WHAT`: cost of the paper's composition on SAM's ViT-B, weights by chance, as JSON.

WHAT is `forward`, `six_masks` of one image, `backward` (forward and backward pass) or `recompute` (the same with
`encoder.recompute`). Imports segassess from wherever it is found, so that the same file measures another commit;
`composition_speed.py` starts it. Needs Linux.
"""

import json
import sys
import time
from pathlib import Path

import torch

from segassess.models.assessor.compositions import build_assessor

_REPEATS = 3
_MASKS = 6


def main() -> None:
    """Measure, and write CPU seconds of the fastest of three passes and peak memory in MB beyond weights and gradients."""
    result, side, what = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = {"name": "sam_vit_b"} | ({"recompute": True} if what == "recompute" else {})
    model = build_assessor({"name": "segassess"}, encoder)
    training = what in ("backward", "recompute")
    model.train(training)
    image = torch.rand(1, 3, int(side), int(side))
    masks = (torch.rand(_MASKS if what == "six_masks" else 1, 1, int(side), int(side)) > 0.5).float()
    if training:
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
    before, seconds = _peak(), []
    for _ in range(_REPEATS):
        began = time.process_time()
        with torch.set_grad_enabled(training):
            logits = model(image, masks).quality_logits
        if training:
            logits.square().mean().backward()
        seconds.append(time.process_time() - began)
        del logits
    Path(result).write_text(json.dumps([min(seconds), _peak() - before]), encoding="utf-8")


def _peak() -> float:
    # `ru_maxrss` would count the memory of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].removesuffix("kB")) / 1024


if __name__ == "__main__":
    # Beside this file lie modules that are no part of the standard library.
    sys.path.pop(0)
    main()
