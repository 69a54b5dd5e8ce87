from __future__ import annotations

import logging
import sys

from space_app.log import OneLine


def record(message: str, *, with_exception: bool = False) -> logging.LogRecord:
    """A record, of the exception that is being handled if asked."""
    error = sys.exc_info() if with_exception else None
    return logging.LogRecord("space_app", logging.ERROR, "f.py", 1, message, (), error)


def test_an_exceptions_text_is_left_out() -> None:
    """Of an exception its type and place are logged, not what it quotes."""
    try:
        raise ValueError("somebody's text")  # noqa: TRY301 -- it is what is tested
    except ValueError:
        line = OneLine("%(message)s").format(record("It failed", with_exception=True))

    assert line.startswith("It failed | ValueError at test_log.py:")
    assert "somebody" not in line


def test_a_record_is_one_line() -> None:
    """A line break in a message does not start another record."""
    assert "\n" not in OneLine("%(message)s").format(record("one\ntwo\r\nthree"))
