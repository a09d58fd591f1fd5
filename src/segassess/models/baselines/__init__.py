"""Baselines: other methods of quality assessment behind the same `assess` call as the assessor."""

from importlib import import_module

from segassess.errors import ConfigError
from segassess.models.baselines.always_right import AlwaysRight
from segassess.models.baselines.base import Baseline, BaselineContext
from segassess.models.baselines.boundary_prior import BoundaryPrior
from segassess.models.baselines.disagreement import BestDisagreement, EnsembleDisagreement, FittedDisagreement
from segassess.models.baselines.own_probability import Confidence, Entropy
from segassess.models.baselines.sam_agreement import SamAgreement

BASELINES: dict[str, type[Baseline]] = {
    baseline.name: baseline
    for baseline in (
        AlwaysRight,
        BoundaryPrior,
        BestDisagreement,
        EnsembleDisagreement,
        FittedDisagreement,
        Confidence,
        Entropy,
        SamAgreement,
    )
}


def baseline_class(name: str) -> type[Baseline]:
    """The class of a bundled baseline by name, or of a user's own by `module.Class`; raises ConfigError if there is none."""
    if name in BASELINES:
        return BASELINES[name]
    module, _, wanted = name.rpartition(".")
    if not module:
        raise ConfigError(f"baselines must be chosen from {', '.join(BASELINES)}, or be your own as module.Class, not {name!r}.")
    try:
        found = getattr(import_module(module), wanted)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The baseline {name} cannot be imported ({error}); its module must be on PYTHONPATH.") from error
    if not (isinstance(found, type) and issubclass(found, Baseline)):
        raise ConfigError(f"The baseline {name} must be a class of segassess.models.baselines.Baseline.")
    return found


def build_baseline(name: str, context: BaselineContext | None = None) -> Baseline:
    """A baseline by name; raises ConfigError for an unknown name, RequestError if the context lacks something it needs."""
    return baseline_class(name).build(context or BaselineContext())


__all__ = ["BASELINES", "Baseline", "BaselineContext", "baseline_class", "build_baseline"]
