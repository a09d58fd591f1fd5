"""Published data sets by name; `conf/dataset/<name>.yaml` holds their options."""

from collections.abc import Callable

from segassess.prepare.aqs import Baqs, Waqs
from segassess.prepare.crowdai import CrowdAI
from segassess.prepare.deepglobe import DeepGlobe
from segassess.prepare.gid import Gid
from segassess.prepare.inria import Inria
from segassess.prepare.massachusetts import Massachusetts
from segassess.prepare.source import OfficialSource

SOURCES: dict[str, Callable[..., OfficialSource]] = {
    "baqs": Baqs,
    "crowdai": CrowdAI,
    "deepglobe": DeepGlobe,
    "gid": Gid,
    "inria": Inria,
    "massachusetts": Massachusetts,
    "waqs": Waqs,
}
