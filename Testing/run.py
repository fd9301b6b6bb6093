"""The project's two commands, from a bare Python: ``run.py demo`` and ``run.py test``.

Both make an environment of their own in `.venv-dals`, with the exact versions of
`constraints.txt`, and use it again until those or the project's requirements change.

The script needs nothing but Python. uv and nox would do the same, but have to be installed first, which takes
an environment of its own; and uv's lock file names the package index of the machine where it was made.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

OLDEST_PYTHON = (3, 10)
if sys.version_info < OLDEST_PYTHON:
    sys.stderr.write("DALSRefine needs Python 3.10 or newer; this is Python %d.%d.\n" % sys.version_info[:2])  # noqa: UP031
    sys.exit(2)

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "Testing" / "constraints.txt"
ENVIRONMENT = ROOT / ".venv-dals"
STAMP = ENVIRONMENT / "dalsrefine.json"
DEMO_OUTPUT = ROOT / "work" / "demo"
MOST_PROCESSES = 8  # and threads

EXTRAS: dict[str, list[str]] = {"demo": [], "test": ["docs", "lint", "slicer", "test"]}
BUILD_TOOLS = ["editables", "hatchling"]
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "import contracts": [
        *("-c", "from importlinter.cli import lint_imports_command as lint; lint()"),
        *("--no-cache", "--no-logo"),
    ],
    "sphinx": ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", "work/docs"],
}
USAGE = """\
usage: run.py demo [options of 'dals demo']        refine a synthetic liver, write the results to work/demo
       run.py test [--no-lint] [options of pytest]  check style, types and documentation, then run the tests
"""


class SetupError(Exception):
    """The environment cannot be made; the message says why in one sentence."""


def main(arguments: list[str]) -> int:
    """Run one of the two commands; returns the exit status."""
    if not arguments or arguments[0] not in EXTRAS:
        asked_for_help = bool(arguments) and arguments[0] in ("-h", "--help")
        (sys.stdout if asked_for_help else sys.stderr).write(USAGE)
        return 0 if asked_for_help else 2
    command, *options = arguments
    try:
        prepare_environment(EXTRAS[command])
        return demo(options) if command == "demo" else test(options)
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def demo(options: list[str]) -> int:
    """Run ``dals demo``; a later ``--output`` among the options wins."""
    DEMO_OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    return run_python(["-m", "dals", "demo", "--output", str(DEMO_OUTPUT), *options])


def test(options: list[str]) -> int:
    """Check style, types and documentation unless told not to, then run pytest, whose summary comes last.

    Each core runs tests of its own: a fit gains little from a second thread.
    """
    failed = []
    if "--no-lint" in options:
        options = [option for option in options if option != "--no-lint"]
    else:
        failed = [name for name, check in CHECKS.items() if run_python(check) != 0]
        if failed:
            print(f"\nFailed: {', '.join(failed)}. The tests follow; the exit status will not be 0.\n", flush=True)
    workers = 1 if "--pdb" in options else min(available_cores(), MOST_PROCESSES)
    spread = ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []
    status = run_python(["-m", "pytest", *spread, *options], threads=1)
    return status or int(bool(failed))


def run_python(arguments: list[str], *, threads: int | None = None) -> int:
    """Run the environment's Python in the project's folder, by default with a thread for each core.

    Returns the exit status.
    """
    variables = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        variables.setdefault(name, str(threads or min(available_cores(), MOST_PROCESSES)))
    sys.stdout.flush()
    command = [str(python_of(ENVIRONMENT)), *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


def prepare_environment(extras: list[str]) -> None:
    """Make or refresh the environment unless it already has what is needed."""
    wanted: dict[str, Any] = {"python": platform.python_version(), "files": fingerprint(), "extras": extras}
    stamp = read_stamp()
    if stamp is not None and is_sufficient(stamp, wanted):
        return
    print(f"Preparing {ENVIRONMENT.name} (once; it takes a few minutes) ...", flush=True)
    if stamp is None or stamp["python"] != wanted["python"]:
        create_environment()
    else:
        STAMP.unlink()  # until the new one is complete
        wanted["extras"] = sorted({*extras, *stamp["extras"]})
    install(wanted["extras"])
    partial = STAMP.with_suffix(".partial")
    partial.write_text(json.dumps(wanted), encoding="utf-8")
    partial.replace(STAMP)


def create_environment() -> None:
    """Make an empty environment, in place of whatever was left by an interrupted run."""
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=False)
    if made.returncode != 0:
        raise SetupError(f"No virtual environment could be made in {ENVIRONMENT}: does this Python have 'venv'?")


def install(extras: list[str]) -> None:
    """Install the project, as it stands in this folder, with everything it needs."""
    project = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    pip = [str(python_of(ENVIRONMENT)), "-m", "pip", "--disable-pip-version-check", "install"]
    if not sys.stdout.isatty():
        pip.append("--quiet")
    pip += ["--constraint", str(CONSTRAINTS)]
    for wanted in (BUILD_TOOLS, ["--no-build-isolation", "--editable", project]):
        if subprocess.run([*pip, *wanted], cwd=ROOT, check=False).returncode != 0:
            raise SetupError("The packages could not be installed; the lines above say why.")


def read_stamp() -> dict[str, Any] | None:
    """What the environment was made for, or None if there is none or it is not complete."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(stamp, dict) and {"python", "files", "extras"} <= stamp.keys()
    return stamp if complete and python_of(ENVIRONMENT).exists() else None


def is_sufficient(stamp: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether an environment with this stamp serves, perhaps having more extras than needed."""
    same = all(stamp[name] == wanted[name] for name in ("python", "files"))
    return same and set(wanted["extras"]) <= set(stamp["extras"])


def fingerprint() -> str:
    """Changes with the requirements, their versions and the place of the project."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (CONSTRAINTS, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def python_of(environment: Path) -> Path:
    """The Python of a virtual environment on this operating system."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
