"""Optuna's searches for settings: the sweeper of `hydra/sweeper=search`, which can resume a stopped search."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from segassess.errors import ConfigError, RequestError, SomeInputsFailed
from segassess.files import only_one

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

# The best run, in the format of Hydra's own search plugins.
RESULTS = "optimization_results.yaml"
# Attribute of the study: settings that the command line fixed.
_SETTINGS = "settings"


class Search(Sweeper):
    """Lets Optuna choose the settings of each run; for the arguments see `conf/hydra/sweeper/search.yaml`.

    A run's folder has the number of its trial. A run without an objective is a failed trial and does not end the search.
    """

    def __init__(
        self,
        sampler: "partial[Any]",
        direction: str,
        storage: str | None,
        study_name: str,
        n_trials: int,
        n_jobs: int,
        params: Mapping[str, str] | None,
        custom_search_space: str | None,
    ) -> None:
        self.sampler = sampler
        self.direction = direction
        self.storage = storage
        self.study_name = study_name
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.params = params or {}
        self.extend = get_method(custom_search_space) if custom_search_space else None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings and make the launcher.

        Raises:
            ConfigError: if a setting is not allowed.
        """
        for key in ("n_trials", "n_jobs"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"hydra.sweeper.{key} must be a whole number of 1 or more, not {value!r}.")
        if self.direction not in ("maximize", "minimize"):
            raise ConfigError(f"hydra.sweeper.direction must be maximize or minimize, not {self.direction!r}.")
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the rest of the search; a key that the command line sets to one value is not searched.

        Raises:
            RequestError: if the search cannot start or resume.
            InputError: if another process runs it.
            SomeInputsFailed: if no run has an objective.
        """
        import optuna

        assert self.hydra_context is not None and self.config is not None, "setup comes first"
        # The callbacks of `sweep` report runs, failures and the best run.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides(arguments)
        overrides = [*parser.parse_overrides([f"{key}={value}" for key, value in self.params.items()]), *given]
        # The command line overrides `params`.
        last = {(each.key_or_group, each.package): each for each in overrides}.values()
        varied = [each for each in last if each.is_sweep_override()]
        fixed = [str(each.input_line) for each in last if not each.is_sweep_override()]
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        with nullcontext() if self.storage is None else only_one(folder, instead="hydra.sweep.dir"):
            study = self._study(folder, sorted(str(each.input_line) for each in given if not each.is_sweep_override()))
            self._run(study, varied, fixed)
            _write_best(study, folder / RESULTS)

    def _study(self, folder: Path, settings: Sequence[str]) -> "Study":
        """Open or create the study, and close trials whose process was killed."""
        import optuna
        from optuna.study import StudyDirection
        from sqlalchemy.exc import SQLAlchemyError

        try:
            study = optuna.create_study(
                study_name=self.study_name,
                storage=self.storage,
                direction=StudyDirection[self.direction.upper()],
                load_if_exists=True,
            )
        except (SQLAlchemyError, ValueError, RuntimeError) as error:
            # RuntimeError: another release of Optuna wrote the database.
            reason = str(error).splitlines()[0].rstrip(".")
            raise RequestError(
                f"hydra.sweeper.storage={self.storage} cannot be opened: {reason}; give another storage, or move this one away."
            ) from error
        changed = sorted(set(study.user_attrs.get(_SETTINGS, settings)) ^ set(settings))
        if study.direction.name.lower() != self.direction:
            changed.append(f"hydra.sweeper.direction={self.direction}")
        if changed:
            raise RequestError(
                f"The search {self.study_name} in {folder} started with other settings ({', '.join(changed)}); use the same "
                "settings, or start a new search with hydra.sweeper.study_name=NAME."
            )
        study.set_user_attr(_SETTINGS, settings)
        for trial in study.get_trials(deepcopy=False):
            if not trial.state.is_finished():
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return study

    def _run(self, study: "Study", varied: Sequence[Override], fixed: Sequence[str]) -> None:
        import optuna

        space = {each.get_key_element(): _distribution(each) for each in varied}
        trials = study.get_trials(deepcopy=False)
        done = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials)
        left = max(0, self.n_trials - done)
        settings = dict(self.sampler.keywords)
        if self.sampler.func is optuna.samplers.GridSampler:
            settings["search_space"] = {each.get_key_element(): _values(each) for each in varied}
            left = min(left, prod(map(len, settings["search_space"].values())) - len(trials))
        elif settings.get("seed") is not None:
            # Do not repeat the first random choices.
            settings["seed"] += len(trials)
        try:
            study.sampler = self.sampler.func(**settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"hydra.sweeper.sampler does not fit {self.sampler.func.__name__}: {error}.") from error
        if trials:
            print(f"The search {self.study_name} resumes: {done} of {self.n_trials} runs are done, {left} are left.")
        assert self.launcher is not None, "setup comes first"
        while left > 0:
            batch = [study.ask(space) for _ in range(min(left, self.n_jobs))]
            for trial in batch:
                if self.extend is not None:
                    self.extend(self.config, trial)
            runs = [[*(f"{key}={value}" for key, value in trial.params.items()), *fixed] for trial in batch]
            results = self.launcher.launch(runs, initial_job_idx=batch[0].number)
            more = [_tell(study, trial, result.return_value) for trial, result in zip(batch, results, strict=True)]
            left = left - len(batch) if all(more) else 0


def _values(override: Override) -> list[Any]:
    """Values of a choice or range; ConfigError for an interval, which a grid cannot have."""
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line} is an interval; a grid takes choice(A, B) or range(FROM, TO).")
    return list(override.sweep_iterator(transformer=Transformer.encode))


def _distribution(override: Override) -> "BaseDistribution":
    """Optuna's distribution of a key; ConfigError for an empty interval or range."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def between(low: Any, high: Any, **options: Any) -> "BaseDistribution":
        whole = all(isinstance(value, int) for value in (low, high, *options.values()))
        return (IntDistribution if whole else FloatDistribution)(low, high, **options)

    sweep: Any = override.value()
    try:
        if isinstance(sweep, IntervalSweep):
            return between(sweep.start, sweep.end, log="log" in sweep.tags)
        values = _values(override)
        if isinstance(sweep, RangeSweep):
            return between(min(values), max(values), step=abs(sweep.step))
        return CategoricalDistribution(values)
    except ValueError as error:
        raise ConfigError(f"{override.input_line} cannot be searched: {str(error).rstrip('.')}.") from error


def _tell(study: "Study", trial: "Trial", objective: float | None) -> bool:
    """Record the end of a trial; True if the sampler has more to draw."""
    from optuna.trial import TrialState

    try:
        study.tell(trial, objective, TrialState.FAIL if objective is None else TrialState.COMPLETE)
    except RuntimeError as error:
        # The last trial of a grid is stored, but the sampler then calls what only `Study.optimize` allows.
        if "Study.stop" not in str(error):
            raise
        return False
    return True


def _write_best(study: "Study", path: Path) -> None:
    try:
        best = study.best_trial
    except ValueError as error:
        raise SomeInputsFailed(f"No run of the search {study.study_name} has an objective.") from error
    OmegaConf.save(OmegaConf.create({"name": "optuna", "best_params": best.params, "best_value": best.value}), path)
