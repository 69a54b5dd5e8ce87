from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_every_claim_has_its_test() -> None:
    """A claim of SECURITY.md can't outlive the test that it names."""
    named = set(re.findall(r"`(test_\w+)(?:\.py)?`", (PROJECT / "SECURITY.md").read_text("utf-8")))
    files = list((PROJECT / "tests").rglob("test_*.py"))
    found = {path.stem for path in files}
    for path in files:
        found.update(re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))

    assert len(named) > 30
    assert named <= found
