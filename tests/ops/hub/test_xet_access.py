from __future__ import annotations

import time

import pytest

from ops.hub.xet_access import Access, access_by

ACCESS = Access("write", "models", "me", "a.b_c-d", int(time.time()) + 1_000_000)


def test_a_token_says_what_it_allows() -> None:
    """And a header can carry it."""
    assert access_by(ACCESS.token) == ACCESS
    assert ACCESS.token.isascii()
    assert ACCESS.token.isprintable()


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "hf_write",
        ":",
        "é:é",
        ACCESS.token[:-1],
        ACCESS.token.replace("me", "you"),
        ACCESS.token.replace("write", "read"),
        Access("write", "models", "me", "x", int(time.time()) - 1).token,
    ],
)
def test_no_other_token_allows_anything(token: str | None) -> None:
    """Changed, made up, or too old."""
    assert access_by(token) is None
