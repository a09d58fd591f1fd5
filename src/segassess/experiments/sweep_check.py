"""Refuse sweeps whose plugins are missing or whose runs would start the whole sweep again."""

from importlib.util import find_spec
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig

from segassess.errors import RequestError

# Strategies that start processes inside the run, not with the command line.
_FROM_WITHIN = ("ddp_spawn", "ddp_fork", "ddp_notebook")
_PLUGINS = "hydra_plugins"


def check_sweep(config: DictConfig, hydra_config: Any) -> None:
    """Check the sweep that a config, of a sweep or of one of its runs, asks for; a single run always passes.

    Raises:
        RequestError: if launcher or sweeper are not installed, or if Lightning would start further processes with the command
            line, each with a sweep and a search of its own.
    """
    if hydra_config.mode != RunMode.MULTIRUN:
        return
    for kind in ("launcher", "sweeper"):
        namespace, name, *_ = str(hydra_config[kind]["_target_"]).split(".")
        module = "optuna" if name == "segassess_search" else f"{_PLUGINS}.{name}"
        if namespace == _PLUGINS and not find_spec(module):
            package = module.removeprefix(f"{_PLUGINS}.")
            raise RequestError(f"hydra/{kind} needs the package {package}: pip install 'segassess[sweep]'.")
    trainer = config.get("trainer")
    # SLURM starts the processes itself, with the settings of the run.
    on_slurm = hydra_config.launcher["_target_"].endswith(".SlurmLauncher")
    if trainer is not None and not on_slurm and _starts_command_again(trainer):
        raise RequestError(
            f"A sweep cannot use trainer.strategy={trainer.strategy} with trainer.devices={trainer.devices}, because each "
            "process would start the whole sweep again; use trainer.strategy=ddp_spawn, or trainer.devices=1 with "
            "hydra/launcher=parallel."
        )


def _starts_command_again(trainer: DictConfig) -> bool:
    devices = trainer.devices
    several = devices not in (1, "1") and (isinstance(devices, int | str) or len(devices) > 1)
    if trainer.accelerator == "cpu" and devices in ("auto", -1, "-1"):
        several = False  # one process for all cores
    strategy = str(trainer.strategy)
    return (several and not strategy.startswith(_FROM_WITHIN)) or trainer.num_nodes > 1
