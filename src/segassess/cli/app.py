"""From a command line to a task: Hydra composes, keys are checked, and an error becomes one line and an exit code.

Imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import hydra
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from segassess.cli.composition import check_config, clash, unknown_key
from segassess.errors import ConfigError, InputError, RequestError, SegAssessError, SomeInputsFailed
from segassess.experiments.exits import EXIT_INTERRUPTED, EXIT_UNREAD, refused_key, stop
from segassess.experiments.sweep_check import check_sweep
from segassess.interrupts import noting_interrupts


def run_script(task: str, script: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `segassess.cli.<task>.run` on `conf/<task>.yaml` (`conf/<task>_NAME.yaml` for `task=NAME`); never returns.

    Exit codes: 0 done, 1 some inputs failed, 2 wrong request, 130 interrupted, 141 nobody reads the output.
    """
    typed = sys.argv
    given = typed[1:] if arguments is None else arguments
    sweeps = bool({"-m", "--multirun"} & set(given))
    sys.argv = [typed[0], *(given if sweeps else map(_several_masks, given))]
    configs = find_configs(script)
    name = config_name(task, configs, sys.argv[1:])
    # Makes Hydra raise its errors instead of printing them and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"

    with_traceback = False

    @hydra.main(version_base="1.3", config_path=str(configs), config_name=name)
    def main(config: DictConfig) -> float | None:
        nonlocal with_traceback
        with_traceback = bool(config.traceback)
        # GDAL reports bad files too; our message follows.
        logging.getLogger("rasterio").setLevel(logging.CRITICAL)
        logging.getLogger("pyogrio").setLevel(logging.WARNING)
        # They tell again and again where credentials are from.
        for library in ("botocore", "aiobotocore"):
            logging.getLogger(library).setLevel(logging.WARNING)
        # Lightning starts more processes with the original command line.
        sys.argv = typed
        try:
            try:
                check_config(name, config)
            except ConfigError as error:
                raise _explained(error, name, configs) from None
            check_sweep(config, HydraConfig.get())
            if task == "predict":
                _import_pyogrio_alone()
            run: Callable[[DictConfig], float | None] = import_module(f"segassess.cli.{task}").run
            return run(config)
        except (SegAssessError, OmegaConfBaseException) as error:
            # `segassess.experiments.sweep` handles failed runs.
            if with_traceback or HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            stop(error)

    try:
        with noting_interrupts():
            main()
    except BrokenPipeError:
        # Only another write shows whether the reader is gone.
        if not nobody_reads("\n"):
            raise
        sys.exit(EXIT_UNREAD)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        _end_sweep_early(interrupted=True)
        sys.exit(EXIT_INTERRUPTED)
    except (HydraException, OmegaConfBaseException, RequestError, InputError, SomeInputsFailed) as error:
        if isinstance(error, SomeInputsFailed):
            # A search without a result.
            _end_sweep_early(interrupted=False)
        if with_traceback:
            raise
        stop(error if isinstance(error, SegAssessError) else _explained(error, name, configs))
    finally:
        nobody_reads()
    sys.exit(0)


def _import_pyogrio_alone() -> None:
    """Import pyogrio without the packages it offers tables of; a prediction uses none, and they take a second."""
    if "pyogrio" in sys.modules:
        return
    hidden = {"geopandas", "pandas", "pyarrow", "pyproj"} - sys.modules.keys()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        import_module("pyogrio")
    finally:
        for name in hidden:
            del sys.modules[name]


def _explained(error: Exception, name: str, configs: Path) -> Exception:
    """An error of composition; where two choices do not go together, one that says so."""
    if isinstance(error, OverrideParseException):
        return error
    overrides = [argument for argument in sys.argv[1:] if "=" in argument and not argument.startswith("-")]
    with ExitStack() as stack:
        if not GlobalHydra.instance().is_initialized():
            stack.enter_context(initialize_config_dir(str(configs.resolve()), version_base="1.3"))
        words = clash(name, overrides, GlobalHydra.instance().config_loader())
    if not words and (key := refused_key(error)):
        words = unknown_key(name, key)
    return ConfigError(words) if words else error


def nobody_reads(rest: str = "") -> bool:
    """Print `rest`; if the reader has gone, as with `| head`, return True and silence all later output."""
    try:
        print(rest, end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _end_sweep_early(*, interrupted: bool) -> None:
    # Only a sweep has imported it.
    if sweep := sys.modules.get("segassess.experiments.sweep"):
        sweep.end_early(interrupted=interrupted)


def config_name(script: str, configs: Path, arguments: Sequence[str]) -> str:
    """`<script>`, or `<script>_<task>` if `task=` names such a config, because no key can choose groups in Hydra."""
    tasks = {"assessor": script}
    tasks |= {path.stem.removeprefix(f"{script}_"): path.stem for path in sorted(configs.glob(f"{script}_*.yaml"))}
    wanted = [argument.removeprefix("task=") for argument in arguments if argument.startswith("task=")]
    if wanted and len(tasks) > 1 and wanted[-1] not in tasks:
        stop(ConfigError(f"task must be one of {', '.join(tasks)}, not {wanted[-1]!r}."))
    return tasks.get(wanted[-1], script) if wanted else script


def _several_masks(argument: str) -> str:
    """`mask=a,b` as a list, which Hydra would take for a sweep."""
    key, _, value = argument.partition("=")
    return f"mask=[{value}]" if key == "mask" and "," in value and value[0] not in "[\"'" else argument


def find_configs(script: str) -> Path:
    """Folder of the configs for a script or a module of the package; sets SEGASSESS_ROOT, where paths start, if it is unset."""
    root, configs = _places(Path(script).resolve().parent)
    os.environ.setdefault("SEGASSESS_ROOT", str(root))
    # Bundled weights lie beside the configs, in a clone and in a wheel.
    os.environ.setdefault("SEGASSESS_CHECKPOINTS", str(configs.parent / "checkpoints"))
    return configs


def _places(folder: Path) -> tuple[Path, Path]:
    """Root and configs: in a clone `conf/` beside the script or `src/`, in a wheel the working folder and the package's copy."""
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    if (folder / "__init__.py").is_file():
        packaged = folder / "conf"
        return (Path.cwd(), packaged) if packaged.is_dir() else (folder.parents[1], folder.parents[1] / "conf")
    return folder, folder / "conf"
