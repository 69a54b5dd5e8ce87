"""Starts one server as a process of its own, asks it for its first vector, and ends it."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from job import Dialect
from wire import OK, Connection, WireError, get, post
from workload import INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_START_LIMIT = 180
_STOP_LIMIT = 30
_ASK_AGAIN = 0.01
_WARM_LIMIT = 60
_LOOK_AGAIN = 0.5
_PAUSE = 1
_LENGTH_TOLERANCE = 0.01
_TAIL = 1500
_FIRST_TEXT = "which of these rooms is open on a Sunday?"


class ServerFailed(Exception):
    """A server ended, or never answered; says what it printed last."""


@dataclass(frozen=True)
class Recipe:
    """How a server is started; `{port}` in the command is the port it shall listen on."""

    name: str
    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    dialect: Dialect = Dialect.GUIDE


@dataclass(frozen=True)
class Memory:
    """Of all its processes. Pss counts a shared page by its share, Rss counts it whole."""

    rss: int
    pss: int


@dataclass(frozen=True)
class Server:
    """One that runs and has given a vector, `start_seconds` after its process was made."""

    port: int
    start_seconds: float
    process: subprocess.Popen[bytes]

    def settle(self) -> None:
        """Wait until it does no more of its own accord; this project's server says so itself."""
        until = time.monotonic() + _WARM_LIMIT
        while time.monotonic() < until and self._is_warming():
            time.sleep(_LOOK_AGAIN)
        time.sleep(_PAUSE)

    def _is_warming(self) -> bool:
        with Connection(self.port, timeout=60) as connection:
            reply = connection.send(get("/info"))
        return reply.status == OK and json.loads(reply.body).get("warm") is False

    def memory(self) -> Memory:
        """What it holds now."""
        found = [each.memory_full_info() for each in _tree(self.process.pid)]
        return Memory(rss=sum(each.rss for each in found), pss=sum(each.pss for each in found))


@contextmanager
def running(recipe: Recipe, logs: Path) -> Iterator[Server]:
    """The server, while the block runs. What it prints goes to a file in `logs`."""
    port = _free_port()
    command = [part.format(port=port) for part in recipe.command]
    environment = os.environ | dict(recipe.environment) | {"PORT": str(port)}
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{recipe.name}.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _await_vector(process, port, recipe.dialect, log)
        yield Server(port, time.perf_counter() - started, process)
    finally:
        _end(process)


def _await_vector(process: subprocess.Popen[bytes], port: int, dialect: Dialect, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError, WireError), Connection(port, timeout=60) as connection:
            reply = connection.send(_first_request(dialect))
            if reply.status == OK:
                _require_vector(json.loads(reply.body), dialect)
                return
        time.sleep(_ASK_AGAIN)
    ended = process.poll()
    how = "gave no vector in time" if ended is None else f"ended with exit code {ended}"
    tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
    raise ServerFailed(f"the server {how}; {log} ends with:\n{tail}")


def _first_request(dialect: Dialect) -> bytes:
    if dialect is Dialect.GUIDE:
        return post("/embed", {"text": _FIRST_TEXT})
    return post("/embeddings", {"model": "bench", "input": INSTRUCTION + _FIRST_TEXT})


def _require_vector(content: dict[str, Any], dialect: Dialect) -> None:
    """A server that answers fast because it computes nothing is not measured."""
    holder = content if dialect is Dialect.GUIDE else content["data"][0]
    vector = holder["embedding"]
    length = math.sqrt(sum(component**2 for component in vector))
    if abs(length - 1) > _LENGTH_TOLERANCE:
        raise ServerFailed(f"the first vector has the length {length:.3f}, not 1")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and the processes that it started."""
    children = _tree(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_LIMIT)
    for each in children:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
