from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from ops import errors
from ops.adapters import hf_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

OPS = Path(errors.__file__).parent
FAILURES = {
    name
    for module in (errors, hf_errors)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, errors.OpsError)
}


def without_a_next_step(path: Path) -> Iterator[str]:
    """Where a module makes a failure and does not say what to do about it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in FAILURES
            and not any(keyword.arg == "next_step" for keyword in node.keywords)
        ):
            yield f"{path.relative_to(OPS.parent)}:{node.lineno}"


def test_every_failure_says_what_to_do() -> None:
    """Whoever meets one is told the next command to run, or what to change."""
    assert [
        place for path in sorted(OPS.rglob("*.py")) for place in without_a_next_step(path)
    ] == []
