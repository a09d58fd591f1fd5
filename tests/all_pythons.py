"""`make test-all-pythons`: the core of the fast tests on every Python, with the lowest and the newest allowed dependencies.

uv resolves and installs, since pip cannot ask for the lowest versions; it links packages from its cache, so that the environments
in .venvs/ share the gigabytes of torch.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEWEST = ("3.11", "3.12", "3.13")
# Bounds are those of the oldest Python; newer ones lack wheels of so old releases.
RUNS = [("3.11", "lowest"), *((version, "newest") for version in NEWEST)]
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
# All that meets the libraries, without the scripts, whose tests train and start processes.
CORE = (
    "api data evaluation findings metrics models options outputs predict raster synthetic training test_files.py test_quality.py"
)


def main() -> None:
    """Run all, or those named on the command line, such as `3.12-newest`; exits with 1 if one fails."""
    wanted = sys.argv[1:] or ["-".join(run) for run in RUNS]
    results = {name: outcome(version, age) for version, age in RUNS if (name := f"{version}-{age}") in wanted}
    print(*(f"{name}: {result}" for name, result in results.items()), sep="\n")
    sys.exit(any(result.startswith("FAILED") for result in results.values()))


def outcome(version: str, age: str) -> str:
    """Install and test; what came of it in a few words."""
    python = interpreter(version)
    if python is None:
        return f"skipped, as python{version} is neither on the PATH nor in pyenv"
    print(f"== Python {version}, {age} dependencies", flush=True)
    place = ROOT / ".venvs" / f"{version}-{age}"
    uv = [Path(sys.executable).with_name("uv"), "--quiet"]
    began = time.monotonic()
    if not place.is_dir():
        subprocess.run([*uv, "venv", "--python", python, place], check=True)
    requested = ["--resolution", RESOLUTIONS[age], "--upgrade", "--editable", f"{ROOT}[test]"]
    if subprocess.run([*uv, "pip", "install", "--python", place, *requested]).returncode:
        return "FAILED to install"
    installed = time.monotonic()
    tests = [f"tests/{each}" for each in CORE.split()]
    code = subprocess.run([place / "bin" / "python", "-m", "pytest", "-q", "-m", "not slow", *tests], cwd=ROOT).returncode
    seconds = f"{installed - began:.0f} s to install, {time.monotonic() - installed:.0f} s to test"
    return f"{'FAILED' if code else 'passed'} ({seconds})"


def interpreter(version: str) -> Path | None:
    """A Python of this version, from pyenv or the PATH."""
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
        if found := sorted(Path(root, "versions").glob(f"{version}.*/bin/python")):
            return found[-1]
    named = shutil.which(f"python{version}")
    return Path(named) if named and subprocess.run([named, "--version"], capture_output=True).returncode == 0 else None


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
