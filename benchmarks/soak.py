"""Ten minutes of everything at once: does memory stay flat, and is every vector right?

    python benchmarks/soak.py MODEL_DIR [--minutes 10]

Clients send texts of random length, alone and in batches, leave in the middle, and send what is no
request. Each vector that comes back is compared with what the artefact's own backend makes of that
text by itself. Exits 1 when one differs, when an answer has a status that it should not have, or
when memory grew by more than a twentieth after the first tenth of the time.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

CLIENTS = 6
TEXTS = 400
SAME = 0.998
"""What rounding to int8 moves a vector by at most when its step has another shape; the server's
self-check at its start admits as much."""
GROWTH = 1.05
WORDS = Path(__file__).with_name("words.txt")


@dataclass
class Record:
    """What the clients saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lowest: float = 1.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, outcome: str) -> None:
        """One more of a kind."""
        with self.lock:
            self.outcomes[outcome] += 1

    def compare(self, got: np.ndarray, wanted: np.ndarray) -> None:
        """Every row against its reference."""
        lowest = float(np.min(np.sum(got * wanted, axis=1)))
        with self.lock:
            self.lowest = min(self.lowest, lowest)
            if not lowest >= SAME:
                self.wrong.append(f"cosine {lowest:.4f}")


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    texts = make_texts(random.Random(1))  # noqa: S311 -- the same texts in every run
    print(f"reference vectors of {len(texts)} texts, one by one", flush=True)
    reference = reference_vectors(options.model_dir, texts)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Without the cache, every answer is computed.
    environment = os.environ | {
        "EMBED_MODEL_DIR": str(options.model_dir),
        "EMBED_CACHE_MB": "0",
        "EMBED_LOG_LEVEL": "error",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    with subprocess.Popen([sys.executable, "-m", "space_app"], env=environment) as server:
        try:
            wait_until_healthy(port)
            return soak(port, server.pid, texts, reference, options.minutes * 60)
        finally:
            server.terminate()


def make_texts(chance: random.Random) -> list[str]:
    """Texts of one word to more than the model reads."""
    words = WORDS.read_text(encoding="utf-8").split()
    lengths = [int(np.exp(chance.uniform(0, np.log(600)))) for _ in range(TEXTS)]
    return [" ".join(chance.choices(words, k=length)) for length in lengths]


def reference_vectors(model_dir: Path, texts: list[str]) -> np.ndarray:
    """What the backend makes of each text alone, computed in a process that ends afterwards."""
    code = (
        "import sys, json, numpy as np\n"
        "from pathlib import Path\n"
        "from space_app import backends\n"
        "from space_app.core import manifest\n"
        "folder = Path(sys.argv[1]); described = manifest.read(folder)\n"
        "embedder = backends.load(folder, described, threads=2)\n"
        "texts = json.load(sys.stdin)\n"
        "rows = [embedder.embed([embedder.encode([t])])[0] for t in texts]\n"
        "np.save(sys.stdout.buffer, np.array(rows, dtype=np.float32))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_dir)],
        input=json.dumps(texts).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    from io import BytesIO  # noqa: PLC0415 -- here only

    return np.load(BytesIO(done.stdout))


def wait_until_healthy(port: int) -> None:
    """Return when it answers."""
    for _ in range(600):
        try:
            if request(port, "GET", "/health")[0] == http.client.OK:
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server was not healthy within a minute")


def request(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def soak(port: int, pid: int, texts: list[str], reference: np.ndarray, seconds: float) -> int:
    """Let the clients work, watch memory, say how it was."""
    record, until = Record(), time.monotonic() + seconds
    clients = [
        threading.Thread(target=client, args=(port, seed, texts, reference, record, until))
        for seed in range(CLIENTS)
    ]
    for thread in clients:
        thread.start()
    memory: list[tuple[float, float]] = []
    process, begun = psutil.Process(pid), time.monotonic()
    while time.monotonic() < until:
        time.sleep(min(seconds / 40, 10))
        memory.append((time.monotonic() - begun, process.memory_info().rss / 1e6))
        print(f"{memory[-1][0]:6.0f} s  {memory[-1][1]:6.0f} MB", flush=True)
    for thread in clients:
        thread.join()
    early = max(mb for at, mb in memory if at <= seconds / 5)
    late = max(mb for at, mb in memory if at >= seconds * 4 / 5)
    print(dict(record.outcomes))
    print(f"memory: {early:.0f} MB at most in the first fifth, {late:.0f} MB in the last")
    print(f"lowest cosine to the reference: {record.lowest:.6f}; wrong: {len(record.wrong)}")
    for line in record.wrong[:10]:
        print(f"  {line}")
    return 1 if record.wrong or late > early * GROWTH else 0


def client(
    port: int,
    seed: int,
    texts: list[str],
    reference: np.ndarray,
    record: Record,
    until: float,
) -> None:
    """One client: mostly sensible, sometimes not."""
    chance = random.Random(seed)  # noqa: S311 -- the same in every run
    while time.monotonic() < until:
        kind = chance.choices(["one", "batch", "leave", "bad"], [50, 30, 10, 10])[0]
        try:
            if kind in ("one", "batch"):
                count = 1 if kind == "one" else chance.randint(2, 64)
                ask(port, chance.sample(range(len(texts)), count), texts, reference, record)
            elif kind == "leave":
                leave(port, chance.sample(texts, 64), chance)
            else:
                bad(port, chance, record)
        except (OSError, http.client.HTTPException) as error:
            record.wrong.append(f"{kind}: {type(error).__name__}")
        record.count(kind)


def ask(
    port: int, chosen: list[int], texts: list[str], reference: np.ndarray, record: Record
) -> None:
    """Documents, and every one of their vectors checked."""
    body = {"input": [texts[i] for i in chosen], "encoding_format": "base64", "model": "soak"}
    status, reply = request(port, "POST", "/v1/embeddings", json.dumps(body).encode())
    if status == http.client.TOO_MANY_REQUESTS:
        record.count("429")
        return
    if status != http.client.OK:
        record.wrong.append(f"status {status}")
        return
    rows = [base64.b64decode(item["embedding"]) for item in json.loads(reply)["data"]]
    got = np.array([struct.unpack(f"<{len(row) // 4}f", row) for row in rows], dtype=np.float32)
    record.compare(got, reference[chosen])


def leave(port: int, texts: list[str], chance: random.Random) -> None:
    """Send a big request and go before the answer."""
    body = json.dumps({"input": texts, "model": "soak"}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[: chance.choice([len(body), len(body) // 2])])
        time.sleep(chance.uniform(0, 0.1))


def bad(port: int, chance: random.Random, record: Record) -> None:
    """Something that must be refused, with the status that it must have."""
    path, body, wanted = chance.choice(
        [
            ("/v1/embeddings", b"{", 400),
            ("/v1/embeddings", b'{"input": ""}', 400),
            ("/v1/embeddings", b'{"input": [1, 2]}', 400),
            ("/v1/embeddings", json.dumps({"input": ["x"] * 2049}).encode(), 422),
            ("/embed", b'{"text": 5}', 422),
            ("/embed", b'{"text": "\\ud800"}', None),
            ("/no-such-route", b"{}", 404),
        ]
    )
    status, _ = request(port, "POST", path, body)
    if status != wanted and not (wanted is None and 400 <= status < 500):  # noqa: PLR2004
        record.wrong.append(f"{path}: status {status}, not {wanted}")


if __name__ == "__main__":
    sys.exit(main())
