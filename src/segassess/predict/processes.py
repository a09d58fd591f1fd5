"""Several processes that share one task, on one machine or many, and exchange their results."""

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch import distributed

from segassess.errors import ConfigError, RequestError

Result = TypeVar("Result")

# Processes wait for the slowest one, whose last scene may take long; gloo counts milliseconds in 32 bits.
_PATIENCE = timedelta(days=20)
STRATEGIES = ("auto", "ddp")


def torch_device(accelerator: str) -> torch.device:
    """The device for Lightning's name of an accelerator; raises RequestError if it is "gpu" and there is none."""
    there = torch.cuda.is_available()
    if accelerator == "gpu" and not there:
        raise RequestError("PyTorch finds no GPU for trainer.accelerator=gpu; use trainer=cpu.")
    return torch.device("cuda" if there and accelerator in ("auto", "gpu") else "cpu")


class Processes(AbstractContextManager["Processes"]):
    """The processes that a `trainer` node asks for: their `count`, and the `rank` and `device` of this one.

    Entering starts the others with the same command line, unless a launcher (torchrun, SLURM) did so. Each runs the block;
    leaving ends the group. The node's keys are accelerator, devices, num_nodes and strategy. Raises ConfigError if the strategy
    shares models instead of scenes, RequestError if a device is missing.
    """

    def __init__(self, trainer: Mapping[str, Any]) -> None:
        self.count, self.rank = 1, 0
        self._accelerator, self._devices, self._nodes = str(trainer["accelerator"]), trainer["devices"], trainer["num_nodes"]
        strategy = trainer["strategy"]
        self._alone = strategy == "auto" and self._devices in (1, "auto", "1") and self._nodes == 1
        if not self._alone and strategy not in STRATEGIES:
            raise ConfigError(
                f"trainer.strategy must be {' or '.join(STRATEGIES)} to share scenes, not {strategy}; choose trainer=ddp."
            )
        self.device = torch_device(self._accelerator)

    def __enter__(self) -> Self:
        if self._alone:
            return self
        from lightning.fabric import Fabric
        from lightning.fabric.strategies.ddp import DDPStrategy

        # The group exchanges small Python objects and no tensors, which gloo does with any device.
        fabric = Fabric(
            accelerator=self._accelerator,
            devices=self._devices if isinstance(self._devices, int | str) else list(self._devices),
            num_nodes=self._nodes,
            strategy=DDPStrategy(process_group_backend="gloo", timeout=_PATIENCE),
        )
        fabric.launch()
        self.count, self.rank, self.device = fabric.world_size, fabric.global_rank, fabric.device
        if self.rank:
            # Only the first process reports.
            logging.getLogger().setLevel(logging.ERROR)
            os.environ["TERM"] = "dumb"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def gather(self, result: Result) -> list[Result]:
        """The results of all processes, by rank; waits for all of them."""
        if not distributed.is_initialized():
            return [result]
        results: list[Any] = [None] * self.count
        distributed.all_gather_object(results, result)
        return results
