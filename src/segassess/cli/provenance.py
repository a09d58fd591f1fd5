"""Record of a run: its config, and the version of the code."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from segassess.cli import build
from segassess.files import atomic_path
from segassess.training.resuming import RUN_RECORD
from segassess.version import __version__


def git_revision(file: Path = Path(__file__)) -> str | None:
    """Commit of the code, "-dirty" if tracked files differ; None outside a clone, or if `file` is not tracked by it."""
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@rank_zero_only
def record_run(folder: Path, config: DictConfig, loggers: Iterable[Logger]) -> None:
    """Log the resolved config, version and git revision, and write `run.json`; checkpoints stay free of folders."""
    record: dict[str, Any] = {"version": __version__, "git_revision": git_revision(), **build.plain(config)}
    for logger in loggers:
        logger.log_hyperparams(record)
    with atomic_path(folder / RUN_RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
