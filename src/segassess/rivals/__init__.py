"""Other quality-assessment methods, behind the same `assess` call as the assessor."""

from segassess.errors import ConfigError
from segassess.rivals.always_right import AlwaysRight
from segassess.rivals.base import Rival
from segassess.rivals.boundary_prior import BoundaryPrior

RIVALS: dict[str, type[Rival]] = {rival.name: rival for rival in (AlwaysRight, BoundaryPrior)}


def build_rival(name: str) -> Rival:
    """A rival by name.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in RIVALS:
        raise ConfigError(f"rivals must be chosen from {', '.join(RIVALS)}, not {name!r}.")
    return RIVALS[name]()


__all__ = ["RIVALS", "Rival", "build_rival"]
