"""Hydra callback that readies a search by Optuna, and takes up again one that was stopped.

Left alone, the plugin hydra-optuna-sweeper would run `n_trials` more, number its runs from 0 again (over the folders of the
earlier ones), draw the same random settings once more, and leave runs that were killed as running for ever. What has been done is
known from the search's data base.
"""

import logging
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from segassess.errors import ConfigError, RequestError
from segassess.experiments.exits import stop
from segassess.files import LOCK

# Folders of a resumed search go on counting, so that a run's folder has the number of its trial. Known wherever this module is
# imported, also in the processes of a launcher, which are handed this callback.
OmegaConf.register_new_resolver("sum", lambda *numbers: sum(map(int, numbers)), replace=True)

# Of the study: what the command line fixed for all runs.
_SETTINGS = "settings"

# Held until this process ends: one process at a time goes on with a search.
_locks: list[FileLock] = []


class Search(Callback):
    """Prepares the sweeper of a search before it starts."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Count what is done, close what was killed, and let numbers, folders and random choices go on from there."""
        import optuna

        # Runs, failures and the best one are told by the callbacks of `sweep`.
        optuna.logging.set_verbosity(logging.ERROR)
        logging.getLogger("hydra_plugins.hydra_optuna_sweeper._impl").setLevel(logging.ERROR)
        try:
            _check(config.hydra.sweeper)
            if config.hydra.sweeper.storage is not None:
                _take_up(config)
        except RequestError as error:
            # Of other exceptions Hydra makes a warning.
            stop(error)


def _check(sweeper: DictConfig) -> None:
    for key in ("n_trials", "n_jobs"):
        if not isinstance(sweeper[key], int) or sweeper[key] < 1:
            raise ConfigError(f"hydra.sweeper.{key} must be a whole number of 1 or more, not {sweeper[key]!r}.")


def _take_up(config: DictConfig) -> None:
    """Open or begin the study, and set the sweeper to what is left to do.

    Raises:
        RequestError: if another process is at work on it, it was begun with other settings, or its data base cannot be opened.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError  # type: ignore[import-untyped]

    sweeper, folder = config.hydra.sweeper, Path(config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    _lock(folder)
    try:
        study = optuna.create_study(
            study_name=sweeper.study_name, storage=sweeper.storage, direction=sweeper.direction, load_if_exists=True
        )
    except (SQLAlchemyError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise RequestError(
            f"hydra.sweeper.storage={sweeper.storage} cannot be opened: {reason}; give another one, or move it away."
        ) from error
    settings = _fixed(config)
    before = study.user_attrs.get(_SETTINGS, settings)
    if changed := sorted(set(before) ^ set(settings)):
        raise RequestError(
            f"The search {sweeper.study_name} in {folder} was begun with other settings ({', '.join(changed)}); repeat those, or "
            "give this one a name of its own, hydra.sweeper.study_name=NAME."
        )
    study.set_user_attr(_SETTINGS, settings)
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        if not trial.state.is_finished():
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if not trials:
        return
    done = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials)
    left = max(0, sweeper.n_trials - done)
    progress = f"{done} of {sweeper.n_trials} runs are done, {left} are left"
    print(f"The search {sweeper.study_name} goes on: {progress}; #0 below is run {len(trials)}.")
    sweeper.n_trials = left
    if sweeper.sampler.get("seed") is not None:
        # The first random choices were made before.
        sweeper.sampler.seed += len(trials)
    config.hydra.overrides.hydra.append(f"hydra.sweep.subdir='${{sum:${{hydra.job.num}},{len(trials)}}}'")


def _lock(folder: Path) -> None:
    lock = FileLock(folder / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise RequestError(
            f"Another process is at work on the search in {folder}; wait for it, or give hydra.sweep.dir=DIR."
        ) from error
    _locks.append(lock)


def _fixed(config: DictConfig) -> list[str]:
    """What the command line sets to one value."""
    overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    return sorted(str(override.input_line) for override in overrides if not override.is_sweep_override())
