"""Every assessor by name, on any encoder, so that loading a checkpoint runs no code of its choice (docs/decisions/0002)."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, cast

from segassess.models.assessor.base import Assessor
from segassess.models.assessor.compact import CompactAssessor
from segassess.models.assessor.encoders.names import ENCODERS
from segassess.models.assessor.segassess import SegAssess
from segassess.models.assessor.twin import TwinAssessor
from segassess.models.named_parts import check_options, choose

ASSESSORS: dict[str, Callable[..., Assessor] | str] = {
    "segassess": SegAssess,
    "compact": CompactAssessor,
    "twin": TwinAssessor,
    # Baselines that are trained like an assessor; imported only when built.
    "concat_unet": "segassess.models.baselines.concat_unet:ConcatUnet",
    "aqsnet": "segassess.models.baselines.aqsnet:AqsNet",
}


def build_assessor(assessor: Mapping[str, Any], encoder: Mapping[str, Any]) -> Assessor:
    """Build from specifications `{"name": ..., **options}`; raises ConfigError if a name or an option does not exist."""
    image_encoder = _build("encoder", ENCODERS, encoder)
    return cast(Assessor, _build("assessor", ASSESSORS, assessor, image_encoder))


def _build(kind: str, registry: Mapping[str, Callable[..., Any] | str], spec: Mapping[str, Any], *args: Any) -> Any:
    options = dict(spec)
    name = options.pop("name", None)
    choice = choose(f"{kind}.name", registry, name)
    build = pkgutil.resolve_name(choice) if isinstance(choice, str) else choice
    parameters = inspect.signature(build).parameters.values()
    allowed = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    check_options(kind, name, allowed, options)
    return build(*args, **options)
