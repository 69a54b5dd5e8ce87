from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

from ops.redaction import HIDDEN, hide, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]


def test_what_is_known_is_hidden_wherever_it_stands() -> None:
    """Whole, by its lines, and as JSON or Python write it."""
    hide('a "quoted" value\nand a\tsecond line')
    hide(None)
    hide("")
    for text in (
        'a "quoted" value\nand a\tsecond line',
        'a "quoted" value',
        "and a\tsecond line",
        'a \\"quoted\\" value\\nand a\\tsecond line',
        "and a\\tsecond line",
    ):
        assert redacted(f"<{text}>") == f"<{HIDDEN}>"
    assert redacted("and a second line") == "and a second line"


def test_a_secret_within_another_does_not_uncover_it() -> None:
    """The longest goes first."""
    hide("mem0=key-of-the-app")
    hide("key-of-the-app")
    assert redacted("mem0=key-of-the-app key-of-the-app") == f"{HIDDEN} {HIDDEN}"


def test_a_short_secret_is_hidden_as_a_whole_word() -> None:
    """Within words it would make every text unreadable; under four characters, everywhere."""
    hide("deploys")
    hide("yes")
    assert redacted("deploys, redeploys, yes") == f"{HIDDEN}, redeploys, yes"


def test_secrets_that_overlap_leave_nothing() -> None:
    """Where one ends within another, both are hidden whole."""
    hide("first-second")
    hide("second-third")
    assert redacted("<first-second-third>") == f"<{HIDDEN}>"


SECRET = "p@ss/w\u00f6rd+<&>=1"  # letters that every encoding writes in another way


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        json.dumps(SECRET),
        repr(SECRET),
        html.escape(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        re.sub("%..", lambda match: match[0].lower(), quote(SECRET, safe="")),
        urlencode({"token": SECRET}),
    ],
)
def test_an_encoded_secret_is_hidden(shown: str) -> None:
    """As JSON, Python, HTML and URLs write it; of the text around it, nothing is."""
    hide(SECRET)
    written = redacted(f"before {shown} after")
    assert re.fullmatch(rf"""before (token=)?['"]?{re.escape(HIDDEN)}['"]? after""", written)


@pytest.mark.parametrize("user", ["", "u:", "me:", "you:", "user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_in_base64_is_hidden(user: str, encode: Callable[[bytes], bytes]) -> None:
    """Alone and behind a user, as HTTP's Basic scheme has it; what is left tells no letter."""
    hide("a secret \u00ff\u00fe\u00fd?>~")
    encoded = encode(f"{user}a secret \u00ff\u00fe\u00fd?>~".encode()).decode()
    left = redacted(f"Authorization: Basic {encoded}").removeprefix("Authorization: Basic ")
    assert HIDDEN in left
    before, _, after = left.partition(HIDDEN)
    assert len(before) <= -(-len(user) * 4 // 3)
    assert len(after.rstrip("=")) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token hf_{'a' * 34}!", f"token {HIDDEN}!"),
        ("https://me:pass@host/x", f"https://{HIDDEN}@host/x"),
        ("http://127.0.0.1:80/a@b", "http://127.0.0.1:80/a@b"),
        ("hf_hub and hf_xet", "hf_hub and hf_xet"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_unknown(text: str, shown: str) -> None:
    """A token of the Hub, whosever it is, and a password in a URL."""
    assert redacted(text) == shown


def test_a_process_shows_none_by_whatever_way() -> None:
    """Print, also in pieces, a log, a warning, and the traceback that ends it."""
    code = (
        "import logging, sys, warnings\n"
        "from ops.redaction import hide\n"
        "from ops.safe_text import guard_output\n"
        "hide('a-secret-value')\n"
        "guard_output()\n"
        "print('1 a-secret-value')\n"
        "sys.stderr.write('2 a-secret-value')\n"
        "logging.warning('3 %s', 'a-secret-value')\n"
        "warnings.warn('4 a-secret-value')\n"
        "print('6 a-secret-', end='')\n"
        "print('value')\n"
        "assert not hasattr(sys.stdout, 'buffer')\n"
        "raise ValueError('5 a-secret-value')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    shown = done.stdout + done.stderr
    assert "a-secret-value" not in shown
    assert [f"{number} {HIDDEN}" in shown for number in range(1, 7)] == [True] * 6
    assert done.returncode == 1
