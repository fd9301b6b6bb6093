"""The code that a result depends on."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path


def sources(modules: Sequence[str], *, folder: Path) -> list[Path]:
    """Files of modules of a package and of all that they import from it, by name."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            tree = ast.parse((folder / f"{module}.py").read_text(encoding="utf-8"))
            imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            prefix = f"benchmarks.{folder.name}."
            waiting += [name.removeprefix(prefix) for name in imported if name.startswith(prefix)]
    return [folder / f"{module}.py" for module in sorted(found)]


def statements(source: Path) -> bytes:
    """What a module does: without comments and docstrings, which change no result."""

    class Bare(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
            return None if isinstance(node.value, ast.Constant) else node

    return ast.dump(Bare().visit(ast.parse(source.read_text(encoding="utf-8")))).encode()
