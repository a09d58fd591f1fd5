"""Several processes at one task, on one machine or many, that tell one another what came of it."""

import logging
import os
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from omegaconf import DictConfig
from torch import distributed

from segassess.cli import build
from segassess.errors import ConfigError

Result = TypeVar("Result")

# Processes wait for the slowest one, whose last scene may take long. Gloo counts milliseconds in 32 bits.
_PATIENCE = timedelta(days=20)
STRATEGIES = ("auto", "ddp")


class Processes(AbstractContextManager["Processes"]):
    """The processes that a `trainer` node asks for; this one is one of them.

    Entering starts the others with the same command line, unless a launcher (torchrun, SLURM) has done so, and each runs the
    block; leaving ends the group.

    Attributes:
        count: how many there are.
        rank: number of this one, from 0.
        device: where this one computes.

    Args:
        trainer: the node; keys accelerator, devices, num_nodes, strategy.

    Raises:
        ConfigError: if it shares models and not scenes.
        RequestError: if its devices are not there.
    """

    def __init__(self, trainer: DictConfig) -> None:
        self.count, self.rank = 1, 0
        self._trainer = trainer
        self._alone = trainer.strategy == "auto" and trainer.devices in (1, "auto", "1") and trainer.num_nodes == 1
        if self._alone:
            self.device = build.device(trainer)
        elif trainer.strategy not in STRATEGIES:
            raise ConfigError(
                f"Scenes are shared by trainer.strategy={' or '.join(STRATEGIES)}, not {trainer.strategy}; choose trainer=ddp."
            )
        else:
            build.device(trainer, first=True)

    def __enter__(self) -> Self:
        if self._alone:
            return self
        from lightning.fabric import Fabric
        from lightning.fabric.strategies.ddp import DDPStrategy

        # Scenes are shared, and not tensors: the group only carries words, which gloo does with any device.
        fabric = Fabric(
            accelerator=str(self._trainer.accelerator),
            devices=build.plain(self._trainer.devices),
            num_nodes=self._trainer.num_nodes,
            strategy=DDPStrategy(process_group_backend="gloo", timeout=_PATIENCE),
        )
        fabric.launch()
        self.count, self.rank, self.device = fabric.world_size, fabric.global_rank, fabric.device
        if self.rank:
            # The first one speaks for all.
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
        """The results of all processes, by rank; each of them waits here for all."""
        if not distributed.is_initialized():
            return [result]
        results: list[Any] = [None] * self.count
        distributed.all_gather_object(results, result)
        return results
