from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from ops.readers import Readers


def test_answers_and_failures_come_to_who_asked() -> None:
    """Each future has its own; a failure spoils no other."""
    readers = Readers()
    good = readers.submit(divmod, 7, 2)
    bad = readers.submit(int, "seven")
    assert good.result() == (3, 1)
    with pytest.raises(ValueError, match="seven"):
        bad.result()


def test_no_more_than_eight_ask_at_once() -> None:
    """The ninth waits until one of the others has its answer."""
    readers, asking, go = Readers(), threading.Barrier(9), threading.Event()

    def ask() -> None:
        asking.wait(timeout=20)
        go.wait(timeout=20)

    first = [readers.submit(ask) for _ in range(8)]
    ninth = readers.submit(go.is_set)
    asking.wait(timeout=20)
    assert not ninth.done()
    go.set()
    assert ninth.result(timeout=20)
    assert [answer.result() for answer in first] == [None] * 8


def test_an_interruption_waits_for_nobody() -> None:
    """Ctrl-C ends the program although a question has no answer yet."""
    program = """
import os, signal, threading
from ops.readers import Readers
answer = Readers().submit(threading.Event().wait)
threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
answer.result()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert "KeyboardInterrupt" in done.stderr
