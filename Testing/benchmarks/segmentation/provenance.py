"""With what figures were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import date
from functools import cache
from pathlib import Path

from benchmarks.protocol import ROOT
from benchmarks.segmentation.rows import digest_of
from dals.model.prior import ShapePrior

_UNRELATED = {"cli", "io", "training"}


@cache
def code_digest() -> str:
    """Of the sources that a measurement depends on: those of `dals` but for files, commands and training, and these."""
    package = ROOT / "DALSRefine" / "dals"
    sources = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in _UNRELATED]
    here = Path(__file__).parent
    ours = [here / f"{name}.py" for name in ("conventional", "damage", "livers", "refine", "scores")]
    return digest_of(*sorted(sources), *ours)


def describe(prior: ShapePrior, *, workers: int) -> str:
    """One sentence: prior, date, commit, machine."""
    return (
        f"Prior {prior.name}, SHA-256 `{prior.digest[:12]}`; {date.today().isoformat()}, commit {commit()}; "
        f"{processor()}, {os.cpu_count()} cores, no GPU; {workers} processes of one thread each."
    )


def commit() -> str:
    """Short hash of the source's commit, with "-dirty" if files were changed since."""
    try:
        found = _git("rev-parse", "--short", "HEAD")
        return f"{found}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else found
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor() -> str:
    """Name of the processor, or at least its kind."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.strip()
