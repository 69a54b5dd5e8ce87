"""Minutes of HTTP that is almost right: is every answer one that is promised, and memory flat?

    python benchmarks/fuzz.py MODEL_DIR [--minutes 10] [--seed 1]

Raw requests come from tests/data/http_framing.toml, a fifth as they are, the others damaged, all
split into packets at random. Beside them schemathesis sends what the API's description allows, and
what it doesn't. Exits 1 when the server fails (an answer of 500 or above), when it breaks a rule
of the table, neither answers nor hangs up, ends, or when its memory grows by more than a twentieth
after the first fifth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from raw_http import KEY, Case, cases, outcome

CLIENTS = 48
PATIENCE = 90.0
"""Seconds in which the server ends whatever doesn't go on: more than its own limits together."""

UNKNOWN = 1_000_000
GROWTH = 1.05
FAILURE = 500
LINES = [
    *(b"\r\n", b"\r", b"\n", b"\0", b" ", b"\t", b":", b";", b"0\r\n\r\n", b"\xff", b"\r\n\r\n"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Host: x\r\n"),
    *(b"Expect: 100-continue\r\n", b"ffffffff\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    *(b"HTTP/1.0", b"HEAD ", b"CONNECT ", b"99999999999999999999"),
]


@dataclass
class Record:
    """What was seen."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def main() -> int:
    """Start a server, fuzz it, say how it was."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "EMBED_MODEL_DIR": str(options.model_dir),
        "EMBED_API_KEYS": f"fuzz={KEY}",
        "EMBED_LOG_LEVEL": "error",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    record = Record()
    with subprocess.Popen([sys.executable, "-m", "space_app"], env=environment) as server:
        try:
            wait_until_listening(port)
            asyncio.run(fuzz(port, server.pid, options.minutes * 60, options.seed, record))
            server.send_signal(signal.SIGTERM)
            if code := server.wait(timeout=60):
                record.wrong.append(f"the server ended with {code}")
        finally:
            server.kill()
    return report(record, options.minutes * 60)


def wait_until_listening(port: int) -> None:
    """Return when somebody listens."""
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    sys.exit("the server does not listen after a minute")


async def fuzz(port: int, pid: int, seconds: float, seed: int, record: Record) -> None:
    """All at the same time, until the time is over."""
    table, until = cases(), time.monotonic() + seconds
    clients = [
        client(port, random.Random(f"{seed} {number}"), table, until, record)  # noqa: S311 -- repeatable
        for number in range(CLIENTS)
    ]
    await asyncio.gather(
        *clients, describe_api(port, until, seed, record), watch(pid, until, record)
    )
    try:
        end = await outcome(
            port, [b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"], replies=1, patience=9
        )
    except OSError as error:
        end = type(error).__name__
    if end != "200 open":
        record.wrong.append(f"afterwards: {end}")


async def client(
    port: int, chance: random.Random, table: list[Case], until: float, record: Record
) -> None:
    """One after another."""
    while time.monotonic() < until:
        case, is_whole = chance.choice(table), chance.random() < 0.2  # noqa: PLR2004
        sent = case.sent if is_whole else damaged(case.sent, chance, table)
        replies = case.replies if is_whole else UNKNOWN
        packets = cut(sent, chance)
        try:
            # Most of them, or nearly all that happens is waiting for what never comes.
            ends = not is_whole and chance.random() < 0.9  # noqa: PLR2004
            found = await outcome(port, packets, replies=replies, patience=PATIENCE, ends=ends)
        except (OSError, ValueError) as error:
            found = type(error).__name__
            record.wrong.append(f"{found}: {sent[:300]!r}")
        *statuses, end = found.split()
        record.outcomes.update((*statuses, end))
        if is_whole and found not in case.allowed:
            record.wrong.append(f"{case.name}: {found}, not {case.allowed}")
        if end == "hangs" or any(int(status) >= FAILURE for status in statuses):
            record.wrong.append(f"{found}: {sent[:300]!r}")


def damaged(sent: bytes, chance: random.Random, table: list[Case]) -> bytes:
    """A few changes."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(sent) + 1)
        to = min(at + int(chance.expovariate(0.1)), len(sent))
        sent = chance.choice(
            [
                sent[:at] + chance.choice(LINES) + sent[at:],
                sent[:at] + sent[to:],
                sent[:to] + sent[at:],
                sent[:at] + bytes([chance.randrange(256)]) + sent[at + 1 :],
                sent[:at] + chance.choice(table).sent[at:],
                sent[:at],
            ]
        )
    return sent


def cut(sent: bytes, chance: random.Random) -> list[bytes]:
    """The packets that it comes in."""
    places = sorted(chance.randrange(len(sent) + 1) for _ in range(chance.choice([0, 0, 1, 3, 9])))
    return [sent[a:b] for a, b in zip([0, *places], [*places, len(sent)], strict=True)]


async def describe_api(port: int, until: float, seed: int, record: Record) -> None:
    """Schemathesis, again and again."""
    while (left := int(until - time.monotonic())) > 0:
        seed += 1
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"http://127.0.0.1:{port}/openapi.json",
            *("--phases=coverage,fuzzing", "--checks=not_a_server_error", "--continue-on-failure"),
            *(f"--max-time={left}", f"--seed={seed}", f"--header=X-API-Key: {KEY}", "--no-color"),
        ]
        with tempfile.TemporaryDirectory() as folder:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=os.environ | {"NO_PROXY": "127.0.0.1"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            told, _ = await process.communicate()
        record.outcomes["runs of schemathesis"] += 1
        if process.returncode:
            record.wrong.append(told.decode()[-3000:])
            return


async def watch(pid: int, until: float, record: Record) -> None:
    """Measure the server's memory."""
    process, begun = psutil.Process(pid), time.monotonic()
    while time.monotonic() < until:
        record.memory.append((time.monotonic() - begun, process.memory_info().rss / 1e6))
        print(f"{record.memory[-1][0]:6.0f} s  {record.memory[-1][1]:6.0f} MB", flush=True)
        await asyncio.sleep(min(10, (until - begun) / 40))


def report(record: Record, seconds: float) -> int:
    """Print it; returns the exit code."""
    early = max(mb for at, mb in record.memory if at <= seconds / 5)
    late = max(mb for at, mb in record.memory if at >= seconds * 4 / 5)
    print(dict(sorted(record.outcomes.items())))
    print(f"memory: {early:.0f} MB at most in the first fifth, {late:.0f} MB in the last")
    print(f"wrong: {len(record.wrong)}")
    for line in record.wrong[:20]:
        print(f"  {line}")
    return 1 if record.wrong or late > early * GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
