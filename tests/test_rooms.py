"""The rooms of the package: each imports only from those below it, and no module reaches itself by way of others."""

import ast
from graphlib import TopologicalSorter

import pytest

from tests.conftest import ROOT

# From top to bottom; those of one line do not know one another, but for the last.
ROOMS = (
    {"__main__"},
    {"cli"},
    {"api"},
    {"experiments"},
    {"evaluation"},
    {"predict"},
    {"outputs"},
    {"findings"},
    {"training"},
    {"models"},
    {"metrics"},
    {"data"},
    {"prepare", "synthetic"},
    {"raster"},
    {"options"},
    {"quality", "errors", "files", "interrupts", "spreadsheets", "version"},
)
FLOOR = {room: len(ROOMS) - index for index, rooms in enumerate(ROOMS) for room in rooms}


def _modules() -> dict[str, ast.Module]:
    folder = ROOT / "src" / "segassess"
    paths = {path.relative_to(folder).with_suffix(""): path for path in folder.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): ast.parse(path.read_text()) for name, path in paths.items()}


MODULES = _modules()


def imports(module: str) -> set[str]:
    """What a module imports, wherever in it; modules of this package without the package's name."""
    found = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            of_names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in of_names if name.removeprefix("segassess.") in MODULES}
            found |= modules or {str(node.module)}
    return {name.removeprefix("segassess.") for name in found}


def test_each_room_imports_only_from_below():
    upwards = set()
    for module in MODULES.keys() - {"__init__"}:
        for other in imports(module) & MODULES.keys():
            room, imported = module.partition(".")[0], other.partition(".")[0]
            if room != imported and FLOOR[imported] >= FLOOR[room] > 1:
                upwards.add((module, other))
    assert upwards == set()


def test_no_module_reaches_itself():
    # The package itself hands out what lies in its rooms, when it is asked for it.
    inner = MODULES.keys() - {"__init__"}
    list(TopologicalSorter({module: imports(module) & inner for module in inner}).static_order())


# Who may know a library; of a module or a room.
KNOWN_IN = {
    "hydra": {"cli", "experiments"},
    "omegaconf": {"cli", "experiments"},
    "lightning": {"cli", "experiments", "evaluation", "training", "data.datamodule"},
    "distributed": {"predict.cluster"},
}


@pytest.mark.parametrize("library", KNOWN_IN)
def test_libraries_are_known_where_they_belong(library):
    users = {module for module in MODULES if any(name.split(".")[0] == library for name in imports(module))}
    assert users and {module for module in users if not {module, module.partition(".")[0]} & KNOWN_IN[library]} == set()


def test_one_module_makes_objects_of_configs():
    calls = {module for module in MODULES if "instantiate" in {getattr(node, "id", None) for node in ast.walk(MODULES[module])}}
    assert calls == {"cli.build"}
