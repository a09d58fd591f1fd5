"""Which processes judge scenes."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segassess.options.option import REQUIRED, option


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Processes of this machine."""

    name: Literal["local"] = option("Fixed by this file; choose with engine=local or engine=dask.", "local")
    workers: int | None = option(
        "Processes that judge scenes and train the folds of a fit. 1 is this process (for a fit one for each thread), null is "
        "one for each core; more than one needs segassess[cluster].",
        1,
        low=1,
    )
    bands: int = option(
        "With several processes, a scene of more bands of rows than this is cut into parts of so many bands at most; "
        "a smaller one too if there are fewer scenes than processes.",
        8,
        low=1,
    )


@dataclass(frozen=True, kw_only=True)
class DaskEngine:
    """Workers of a Dask cluster that runs already."""

    name: Literal["dask"] = option("Fixed by this file; choose with engine=local or engine=dask.", "dask")
    scheduler: str = option("Address of the scheduler, such as tcp://10.0.0.1:8786.", REQUIRED)
    bands: int = option(
        "A scene of more bands of rows than this is cut into parts of so many bands at most; a smaller one too if there are "
        "fewer scenes than workers.",
        8,
        low=1,
    )


EngineOptions: TypeAlias = LocalEngine | DaskEngine
