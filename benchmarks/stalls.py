"""How long does a small query wait beside one client that sends something nasty?

    python benchmarks/stalls.py MODEL_DIR [--seconds 5] [--only WORD]

One client sends one short query after the other. Beside it, a neighbour sends one kind of request
over and over: first a legitimate bulk of 2,048 texts, then bodies that are expensive to read.
Prints the short query's latencies beside each kind, and its slowest one as a multiple of the
slowest beside the bulk. Exits 1 when a multiple is above 10.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wire import OK, Connection, WireError, get, post

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue

MOST = 10
"""Times the slowest short query beside the bulk: what a nasty neighbour may cost."""
BULK = "bulk: 2,048 texts"
PAUSE = 0.005
LIMIT = 10 * 1024 * 1024 - 100
"""Bytes that a body may have, less the head of the object."""
WORDS = Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split()


@dataclass(frozen=True)
class Kind:
    """A request that the neighbour repeats; `make` returns its bytes anew each time."""

    name: str
    make: Callable[[], bytes]


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", default="", help="kinds with this word in their name")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "EMBED_MODEL_DIR": str(options.model_dir),
        "EMBED_LOG_LEVEL": "error",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    with subprocess.Popen([sys.executable, "-m", "space_app"], env=environment) as server:
        try:
            _wait_until_warm(port)
            return _compare(port, options.seconds, options.only)
        finally:
            server.terminate()


def _compare(port: int, seconds: float, only: str) -> int:
    print(f"{'beside':34} {'sent':>5}  {'p50':>7} {'p99':>7} {'max':>7} ms   times  answers")
    slowest: dict[str, float] = {}
    for kind in _kinds():
        if kind.name != BULK and only not in kind.name:
            continue
        took, answers = _beside(kind, port, seconds)
        slowest[kind.name] = took[-1]
        times = took[-1] / slowest[BULK]
        print(
            f"{kind.name:34} {answers.total():5}  {statistics.median(took):7.1f} "
            f"{took[int(len(took) * 0.99)]:7.1f} {took[-1]:7.1f}     {times:5.1f}  "
            + ", ".join(f"{number} x {status}" for status, number in answers.items()),
            flush=True,
        )
    return int(max(slowest.values()) > MOST * slowest[BULK])


def _beside(kind: Kind, port: int, seconds: float) -> tuple[list[float], Counter[str]]:
    """Milliseconds that the short queries took, sorted, and the neighbour's answers."""
    answers: SimpleQueue[str] = multiprocessing.SimpleQueue()
    going = multiprocessing.Event()
    neighbour = multiprocessing.Process(target=_repeat, args=(kind, port, answers, going))
    neighbour.start()
    going.wait()
    took = []
    try:
        with Connection(port) as connection:
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                text = " ".join(random.choices(WORDS, k=8))  # noqa: S311
                request = post("/embed", {"text": text})
                begun = time.perf_counter()
                reply = connection.send(request)
                took.append((time.perf_counter() - begun) * 1000)
                if reply.status != OK:
                    raise WireError(f"a short query got {reply.status}")
                time.sleep(PAUSE)
    finally:
        neighbour.terminate()
        neighbour.join()
    found: Counter[str] = Counter()
    while not answers.empty():
        found[answers.get()] += 1
    return sorted(took), found


def _repeat(kind: Kind, port: int, answers: SimpleQueue[str], going: multiprocessing.Event) -> None:  # type: ignore[valid-type]
    request = kind.make()
    going.set()
    while True:
        with suppress(OSError, WireError), Connection(port) as connection:
            while True:
                answers.put(str(connection.send(request).status))
                if kind.name == BULK:
                    request = kind.make()


def _kinds() -> tuple[Kind, ...]:
    """The bulk comes first: it is what the others are compared with."""
    return (
        Kind(BULK, _bulk),
        Kind("880,000 keys", lambda: _extra(_object(b'"%d":1', 880_000))),
        Kind("one key 1,700,000 times", lambda: _extra(_object(b'"a":1', 1_700_000))),
        Kind("2.3 M one-letter strings", lambda: _texts(b'"a"', 2_300_000)),
        Kind("4.7 M integers", lambda: _texts(b"1", 4_700_000)),
        Kind("1.3 M large integers", lambda: _texts(b"1234567", 1_300_000)),
        Kind("100,000 small objects", lambda: _extra(b"[" + b",".join([b"{}"] * 100_000) + b"]")),
        Kind("as many values as are taken", lambda: _extra(_list(b'"a"', 20_000))),
        Kind("5 M opening brackets", lambda: _extra(b"[" * 5_000_000)),
        Kind("one number of 9 MB", lambda: _extra(b"1" * 9_000_000)),
        Kind("one fraction of 9 MB", lambda: _extra(b"0." + b"1" * 9_000_000)),
        Kind("10 MB of white space", lambda: _extra(b" " * (LIMIT - 10) + b"1")),
        Kind("10 MB of quotes", lambda: _extra(b'"' * LIMIT)),
        Kind("one key of 10 MB", lambda: _extra(b'{"' + b"k" * (LIMIT - 20) + b'":1}')),
        Kind("one text of 10 MB", lambda: _texts(_string(b"word ", LIMIT // 5 - 3), 1)),
        Kind("one CJK text of 10 MB", lambda: _texts(_string("語".encode(), LIMIT // 3 - 3), 1)),
        Kind("one escaped text of 10 MB", lambda: _texts(_string(b"\\u8a9e", LIMIT // 6 - 3), 1)),
        Kind(
            "one text of 10 MB of backslashes", lambda: _texts(_string(b"\\\\", LIMIT // 2 - 3), 1)
        ),
        Kind("one text of 10 MB with one emoji", _one_emoji),
        Kind("2,048 texts of 4.8 kB", lambda: _texts(_string(b"word ", 980), 2048)),
        Kind("2,048 CJK texts of 4.8 kB", lambda: _texts(_string("語".encode(), 1600), 2048)),
        Kind("invalid at its end", lambda: _texts(_string(b"word ", 980), 2048)[:-2] + b"!}"),
        Kind("tokenize 500,000 CJK", lambda: _tokenize("語" * 500_000)),
        Kind("tokenize 500,000 emoji", lambda: _tokenize("🦆" * 500_000)),
        Kind("tokenize 500,000 spaced letters", lambda: _tokenize("a " * 250_000)),
        Kind("tokenize 2,048 texts", lambda: _tokenize(["語" * 244] * 2048)),
        Kind("12,000 headers", lambda: _with_headers(12_000)),
        Kind("1-byte chunks", _small_chunks),
    )


def _bulk() -> bytes:
    chance = random.Random()  # noqa: S311
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(10, 200))) for _ in range(2048)]
    return post("/embed", {"text": texts})


def _extra(value: bytes) -> bytes:
    """A short text, beside a field that nobody knows."""
    return _request("/embed", b'{"text":"word","extra":%b}' % value)


def _texts(item: bytes, number: int) -> bytes:
    return _request("/v1/embeddings", b'{"input":%b}' % _list(item, number))


def _tokenize(texts: str | list[str]) -> bytes:
    return _request("/tokenize", json.dumps({"inputs": texts}, ensure_ascii=False).encode())


def _list(item: bytes, number: int) -> bytes:
    return b"[" + b",".join([item] * number) + b"]"


def _string(part: bytes, number: int) -> bytes:
    return b'"' + part * number + b'"'


def _object(member: bytes, number: int) -> bytes:
    if b"%d" not in member:
        return b"{" + b",".join([member] * number) + b"}"
    return b"{" + b",".join(member % index for index in range(number)) + b"}"


def _one_emoji() -> bytes:
    return _texts(_string(b"word ", LIMIT // 5 - 9)[:-1] + '🦆"'.encode(), 1)


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _with_headers(number: int) -> bytes:
    return (
        b"POST /embed HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * number + b"Content-Length: 0\r\n\r\n"
    )


def _small_chunks() -> bytes:
    body = b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return body + b"1\r\n \r\n" * 500_000 + b"f\r\n" + b'{"text":"word"}' + b"\r\n0\r\n\r\n"


def _wait_until_warm(port: int) -> None:
    for _ in range(1200):
        with suppress(OSError, WireError), Connection(port) as connection:
            if json.loads(connection.send(get("/info")).body)["warm"]:
                return
        time.sleep(0.1)
    sys.exit("the server was not ready within two minutes")


if __name__ == "__main__":
    sys.exit(main())
