"""Published data sets by name; `conf/dataset/<name>.yaml` holds their options."""

from collections.abc import Callable

from segassess.data.prepare.aqs import Baqs, Waqs
from segassess.data.prepare.crowdai import CrowdAI
from segassess.data.prepare.deepglobe import DeepGlobe
from segassess.data.prepare.gid import Gid
from segassess.data.prepare.inria import Inria
from segassess.data.prepare.massachusetts import Massachusetts
from segassess.data.prepare.source import OfficialSource

SOURCES: dict[str, Callable[..., OfficialSource]] = {
    "baqs": Baqs,
    "crowdai": CrowdAI,
    "deepglobe": DeepGlobe,
    "gid": Gid,
    "inria": Inria,
    "massachusetts": Massachusetts,
    "waqs": Waqs,
}
