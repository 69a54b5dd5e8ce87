from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
from typing import TYPE_CHECKING, BinaryIO, TextIO

import httpx2
import pytest
from server_process import started
from waiting import wait_until

from space_app.log import OneLine
from space_app.log_writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALLEST_PIPE = 4096


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[BinaryIO, TextIO]]:
    """Both ends of a small pipe."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb", buffering=0) as pipe:
        yield pipe, stream


def log(writer: LogWriter, count: int) -> None:
    """That many lines."""
    writer.setFormatter(OneLine("%(message)s"))
    for number in range(count):
        writer.handle(logging.makeLogRecord({"msg": f"line {number} {'x' * 90}"}))


def lines(text: bytes) -> int:
    """How many lines were written or told to be dropped."""
    told = sum(map(int, re.findall(rb"dropped=([0-9]+)", text)))
    return text.count(b"line ") + told


def test_a_log_that_nobody_reads(pipe: tuple[BinaryIO, TextIO]) -> None:
    """Logging never waits. When the log is read again, it says how many lines it lacks."""
    reader, stream = pipe
    log(LogWriter(stream, most_lines=50), 500)
    received = b""

    def is_whole() -> bool:
        nonlocal received
        received += reader.read(SMALLEST_PIPE) or b""
        return lines(received) >= 500

    wait_until(is_whole)
    assert lines(received) == 500
    assert 50 <= received.count(b"line ") < 500


def test_the_end_waits_for_a_reader_but_not_for_ever(pipe: tuple[BinaryIO, TextIO]) -> None:
    """What is left is written at the exit, within a second, or it is lost."""
    reader, stream = pipe
    writer = LogWriter(stream)
    log(writer, 100)
    writer.flush()
    ending = threading.Thread(target=writer.flush)
    ending.start()
    received = b""
    while ending.is_alive():
        received += reader.read(SMALLEST_PIPE) or b""
    received += reader.read() or b""  # what came between the last look and the end
    assert lines(received) == 100


def test_without_standard_error() -> None:
    """Nothing is written: its number may be that of another file."""
    writer = LogWriter(None)
    log(writer, 1)
    writer.flush()


@pytest.mark.parametrize("gone", [False, True], ids=["frozen", "gone"])
def test_a_server_whose_log_nobody_reads(artefact: Path, gone: bool) -> None:  # noqa: FBT001 -- parametrised
    """It answers, and it ends when it is told to, whether the reader sleeps or has gone."""
    with started(artefact) as server:
        server.wait_until_healthy()
        assert server.process.stderr is not None
        fcntl.fcntl(server.process.stderr, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
        if gone:
            server.process.stderr.close()
        with httpx2.Client(base_url=server.url, trust_env=False) as http:
            for _ in range(100):
                assert http.get("/info").status_code == 200
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        if gone:
            server.process.stderr = None
