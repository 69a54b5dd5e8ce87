from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops.redaction import HIDDEN, hide
from ops.safe_text import escaped, safe, safe_data, safe_line

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2K\x1b[1Aup\x1b[?25l", "up"),
        ("\x9b31mred", "red"),
        ("\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x1b]52;c;cm0gLXJm\x07copied", "copied"),
        ('\x1bP$q"p\x1b\\dcs', "dcs"),
        ("\x1bcreset", "reset"),
        ("\x1b]0;a title without an end", "\\u001b]0;a title without an end"),
        ("cut \x1b", "cut \\u001b"),
        ("bell\x07 back\x08 delete\x7f", "bell\\u0007 back\\u0008 delete\\u007f"),
        ("next\x85line \u2028", "next\\u0085line \\u2028"),
        ("all fine\rfailed\r\nend", "all fine\nfailed\nend"),
        ("user\u202e\u2066 nimda\u2069", "user\\u202e\\u2066 nimda\\u2069"),
        ("zero\u200bwidth\ufeff\u200d", "zero\\u200bwidth\\ufeff\\u200d"),
        ("tag\U000e0041", "tag\\udb40\\udc41"),
        ("half\udc9b", "half\\udc9b"),
        ("日本語\u3000é 👩\u200d💻\t❤\ufe0f\u200d🔥", "日本語\u3000é 👩\u200d💻\t❤\ufe0f\u200d🔥"),
    ],
)
def test_a_terminal_obeys_nothing_of_it(text: str, shown: str) -> None:
    """Sequences are taken out, single characters are escaped; letters and emojis stay."""
    assert safe(text) == shown
    assert safe(shown) == shown


def test_a_colour_does_not_save_a_secret() -> None:
    """Nor does the end of a line that only a terminal sees."""
    hide("a-secret-value")
    assert safe("a-sec\x1b[31mret-value") == HIDDEN
    assert safe_data(["a-sec\x1b[31mret-value"]) == [HIDDEN]
    half = "\x1b[ "  # takes the next letter along
    assert "secret" not in safe(f"{half}a-secret-value")
    assert safe_data([f"{half}a-secret-value"]) == [f"{half}{HIDDEN}"]


def test_one_line_is_one() -> None:
    """What has line ends in it cannot make a line of its own."""
    assert safe_line("me\nError: none\r\n") == "me Error: none"


def test_json_stays_json() -> None:
    """Secrets are hidden in texts only, whatever they are; escapes are JSON's."""
    for secret in ("12345678", 'quoted"value', "settings"):
        hide(secret)
    data = {
        "settings": 12345678,
        "log": "\u202e\x9b\x1b[0m",
        "more": ('a quoted"value', None, True),
    }
    text = escaped(json.dumps(safe_data(data), ensure_ascii=False))
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == data | {"more": [f"a {HIDDEN}", None, True]}


def test_whatever_a_process_prints_is_safe() -> None:
    """Print, a traceback, and a question without a line end, at once."""
    code = (
        "import sys\n"
        "from ops.safe_text import guard_output\n"
        "guard_output()\n"
        "print('\\x1b[2Jout \\udc9b\\u202e')\n"
        "print('Name: ', end='', flush=True)\n"
        "sys.stdin.read()\n"
        "raise ValueError('\\x1b]0;title\\x07error\\x9b')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
    )
    assert process.stdout is not None
    asked = b"out \\udc9b\\u202e\nName: "
    assert process.stdout.read(len(asked)) == asked
    _, said = process.communicate(timeout=30)
    assert said.decode().endswith("ValueError: error\\u009b\n")
