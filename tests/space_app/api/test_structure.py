from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from space_app.api import structure
from space_app.api.structure import Structure, excess

NASTY = st.text(alphabet='a"\\,[]{}: \né語', max_size=8)
VALUES = st.recursive(
    st.none() | st.integers(0, 99) | NASTY,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NASTY, inner, max_size=5),
    max_leaves=12,
)


def counted(value: object) -> Structure:
    """What there is in a value, and commas between its parts."""
    if isinstance(value, dict):
        parts = [counted(each) for each in [*value, *value.values()]]
    elif isinstance(value, list):
        parts = [counted(each) for each in value]
    else:
        return Structure(0, int(isinstance(value, str)), 0)
    inner = [sum(kind) for kind in zip(*parts, strict=True)] if parts else [0, 0, 0]
    return Structure(1 + inner[0], inner[1], max(len(value) - 1, 0) + inner[2])


@settings(max_examples=200, deadline=None)
@given(piece=st.sampled_from([1, 2, 3, 64, 65_536]), value=VALUES)
def test_a_body_is_counted_exactly(piece: int, value: object) -> None:
    """Quotes, brackets and commas in texts are none, wherever a piece ends."""
    # Longer than any count: shorter bodies are not looked at.
    body = b" " * 200 + orjson.dumps(value)
    found = counted(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "_PIECE", piece)

        assert excess(body, found) is None
        for name, number in found._asdict().items():
            assert excess(body, found._replace(**{name: number - 1})) == name
