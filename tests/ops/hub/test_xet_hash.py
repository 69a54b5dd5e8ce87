from __future__ import annotations

import pytest

from ops.hub.errors import HubError
from ops.hub.xet_hash import from_text, to_text, xorb_hash

A = "cfc5d07f6f03c29bbf424132963fe08d19a37d5757aaf520bf08119f05cd56d6"
B = "c3e67584b5c4fc2a89837ec39e40f2c8a6bb0b2987ac94cd4b31e5fbdd210a72"
C = "0d2beb91b9196929a5ddec9f6e306924ddf4a24268e3e59fd8464738d525af37"
D = "adf8773496a9b7319b2e50dc98093f344053b17d8ad37100b9c07d9805988784"
ZERO = "0" * 64
"""As a number it is divided by four, so that a node ends behind it."""


def test_a_hash_is_written_in_four_little_endian_numbers() -> None:
    """The example of "Converting hashes to strings"."""
    text = "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"
    assert to_text(bytes(range(32))) == text
    assert from_text(text) == bytes(range(32))


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([(A, 100)], A),
        (
            [(A, 100), (B, 200), (C, 300)],
            "71ec1275fca074724e2dd666921b3277c7cee603e4d025bcab2d4050015be2bc",
        ),
        ([(A, 100)] * 4, "89f2ada89ff8c96763c6b25010e6dd76a4c05b1466207633ea559acf2093211b"),
        (
            [(A, 100), (B, 200), (A, 100), (B, 200), (C, 300), (D, 400)],
            "52c826f99507aa05d0b45e9837fa1709e0485425cfbcb1e80db3905cf98b3ee9",
        ),
        (
            [(ZERO, 0), (A, 100), (ZERO, 0), (A, 100)],
            "e1755c85be07fd6b7a8d7becc85e6d8c5f507f2a3d38b316bcb6f97855e72188",
        ),
    ],
)
def test_a_xorb_is_named_as_the_reference_names_it(
    chunks: list[tuple[str, int]], expected: str
) -> None:
    """Values of xet-core's own test (merklehash/aggregated_hashes.rs)."""
    assert to_text(xorb_hash([(from_text(text), size) for text, size in chunks])) == expected


@pytest.mark.parametrize(
    "text", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "g" * 64, "a" * 64 + "\n"]
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    """So none can name a path."""
    with pytest.raises(HubError):
        from_text(text)
