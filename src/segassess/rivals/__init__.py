"""Other quality-assessment methods, behind the same `assess` call as the assessor."""

from importlib import import_module

from segassess.errors import ConfigError
from segassess.rivals.always_right import AlwaysRight
from segassess.rivals.base import Rival, RivalContext
from segassess.rivals.boundary_prior import BoundaryPrior
from segassess.rivals.disagreement import BestDisagreement, EnsembleDisagreement, FittedDisagreement
from segassess.rivals.own_probability import Confidence, Entropy
from segassess.rivals.sam_agreement import SamAgreement

RIVALS: dict[str, type[Rival]] = {
    rival.name: rival
    for rival in (
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


def rival_class(name: str) -> type[Rival]:
    """The class of a rival by name, or of one's own by where it can be imported from, `module.Class`.

    Raises:
        ConfigError: if there is none of that name, or it is no rival.
    """
    if name in RIVALS:
        return RIVALS[name]
    module, _, wanted = name.rpartition(".")
    if not module:
        raise ConfigError(f"rivals must be chosen from {', '.join(RIVALS)}, or be your own as module.Class, not {name!r}.")
    try:
        found = getattr(import_module(module), wanted)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The rival {name} cannot be imported ({error}); its module must be on PYTHONPATH.") from error
    if not (isinstance(found, type) and issubclass(found, Rival)):
        raise ConfigError(f"The rival {name} must be a class of segassess.rivals.Rival.")
    return found


def build_rival(name: str, context: RivalContext | None = None) -> Rival:
    """A rival by name, with what it needs from the context.

    Raises:
        ConfigError: if there is none of that name.
        RequestError: if the context lacks what the rival needs.
    """
    return rival_class(name).build(context or RivalContext())


__all__ = ["RIVALS", "Rival", "RivalContext", "build_rival", "rival_class"]
