from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ops import redaction
from ops.redaction import HIDDEN, hide, redacted

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", {})


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


def test_what_is_short_is_a_part_of_any_word() -> None:
    """Hiding it would make every text unreadable."""
    hide("deploys")
    assert redacted("ops deploys") == "ops deploys"


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
    """Print, a log, a warning, and the traceback that ends it."""
    code = (
        "import logging, sys, warnings\n"
        "from ops.redaction import hide, redact_output\n"
        "hide('a-secret-value')\n"
        "redact_output()\n"
        "print('1 a-secret-value')\n"
        "sys.stderr.write('2 a-secret-value')\n"
        "logging.warning('3 %s', 'a-secret-value')\n"
        "warnings.warn('4 a-secret-value')\n"
        "raise ValueError('5 a-secret-value')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    shown = done.stdout + done.stderr
    assert "a-secret-value" not in shown
    assert [f"{number} {HIDDEN}" in shown for number in range(1, 6)] == [True] * 5
    assert done.returncode == 1
