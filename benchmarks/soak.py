"""Ten minutes of everything at once: does memory stay flat, and is every vector right?

    python benchmarks/soak.py MODEL_DIR [--minutes 10]

Clients send texts of random length, alone and in batches, read slowly, leave in the middle, send
trailers and Upgrade headers, and send bad input. Each vector that comes back is compared with the
one that the artefact's own backend computes for that text alone. Exits 1 when a vector differs,
when a response has the wrong status, or when memory grew by more than 5 % after the first fifth of
the time.
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
from contextlib import suppress
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
HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BAD_INPUT = [
    ("/v1/embeddings", b"{", 400),
    ("/v1/embeddings", b'{"input": ""}', 400),
    ("/v1/embeddings", b'{"input": [1, 2]}', 400),
    ("/v1/embeddings", json.dumps({"input": ["x"] * 2049}).encode(), 422),
    ("/embed", b'{"text": 5}', 422),
    ("/embed", b'{"text": "\\ud800"}', 400),
    ("/no-such-route", b"{}", 404),
]
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
            self.fail(f"cosine {lowest:.4f}")

    def fail(self, what: str) -> None:
        """Something that must not be."""
        with self.lock:
            self.wrong.append(what)


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
        threading.Thread(
            target=Client(port, texts, reference, record, random.Random(seed)).run,  # noqa: S311 -- the same in every run
            args=(until,),
        )
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


@dataclass
class Client:
    """One client: mostly sensible, sometimes not."""

    port: int
    texts: list[str]
    reference: np.ndarray
    record: Record
    chance: random.Random

    def run(self, until: float) -> None:
        """Send requests of random kinds until then."""
        while time.monotonic() < until:
            (kind,) = self.chance.choices(list(KINDS), list(KINDS.values()))
            try:
                kind(self)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.record.fail(f"{kind.__name__}: {type(error).__name__}")
            self.record.count(kind.__name__)

    def one(self) -> None:
        """A single text."""
        self._ask(1)

    def batch(self) -> None:
        """Up to 64 texts."""
        self._ask(self.chance.randint(2, 64))

    def read_slowly(self) -> None:
        """A large response, read a little at a time through a small receive buffer."""
        chosen = self._choose(32)
        with self._connect(small_buffer=True) as connection:
            connection.sendall(self._post(chosen, base64_vectors=False))
            self._compare(chosen, *received(connection, pause=self.chance.uniform(0, 0.01)))

    def leave(self) -> None:
        """A large request, whose client goes before the response."""
        request = self._post(self._choose(64))
        with self._connect() as connection:
            connection.sendall(request[: self.chance.choice([len(request), len(request) // 2])])
            time.sleep(self.chance.uniform(0, 0.1))

    def trailers(self) -> None:
        """A chunked request with a trailer."""
        chosen = self._choose(1)
        with self._connect() as connection:
            connection.sendall(self._chunked(chosen, trailers=1))
            self._compare(chosen, *received(connection))

    def endless_trailers(self) -> None:
        """A chunked request with 3 MB of trailers, where a head may have 64 kB."""
        # Whoever is refused while sending may find the connection reset, and the response lost.
        with self._connect() as connection, suppress(ConnectionError):
            connection.sendall(self._chunked(self._choose(1), trailers=100_000))
            status, _ = received(connection)
            if status != http.client.REQUEST_HEADER_FIELDS_TOO_LARGE:
                self.record.fail(f"endless trailers: status {status}")

    def upgrade(self) -> None:
        """A client that would like to speak HTTP/2."""
        chosen = self._choose(1)
        wish = (
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        )
        with self._connect() as connection:
            connection.sendall(self._post(chosen, wish=wish))
            self._compare(chosen, *received(connection))

    def bad_input(self) -> None:
        """A request that must be refused, with the status that it must have."""
        path, body, wanted = self.chance.choice(BAD_INPUT)
        status, _ = request(self.port, "POST", path, body)
        if status != wanted:
            self.record.fail(f"{path}: status {status}, not {wanted}")

    def _ask(self, count: int) -> None:
        chosen = self._choose(count)
        with self._connect() as connection:
            connection.sendall(self._post(chosen))
            self._compare(chosen, *received(connection))

    def _choose(self, count: int) -> list[int]:
        return self.chance.sample(range(len(self.texts)), count)

    def _connect(self, *, small_buffer: bool = False) -> socket.socket:
        connection = socket.socket()
        if small_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(120)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def _body(self, chosen: list[int], *, base64_vectors: bool = True) -> bytes:
        wanted = "base64" if base64_vectors else "float"
        texts = [self.texts[i] for i in chosen]
        return json.dumps({"input": texts, "encoding_format": wanted, "model": "soak"}).encode()

    def _post(self, chosen: list[int], *, base64_vectors: bool = True, wish: bytes = b"") -> bytes:
        body = self._body(chosen, base64_vectors=base64_vectors)
        return HEAD + wish + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    def _chunked(self, chosen: list[int], *, trailers: int) -> bytes:
        body, fields = self._body(chosen), b"X-Api-Key: a-key-in-a-trailer\r\n" * trailers
        framed = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, fields)
        return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed

    def _compare(self, chosen: list[int], status: int, reply: bytes) -> None:
        """Hold each vector of a response against its reference."""
        if status == http.client.TOO_MANY_REQUESTS:
            self.record.count("429")
        elif status != http.client.OK:
            self.record.fail(f"status {status}")
        else:
            items = json.loads(reply)["data"]
            got = np.array([vector(item["embedding"]) for item in items], dtype=np.float32)
            self.record.compare(got, self.reference[chosen])


KINDS = {
    Client.one: 45,
    Client.batch: 25,
    Client.read_slowly: 5,
    Client.leave: 8,
    Client.trailers: 4,
    Client.endless_trailers: 1,
    Client.upgrade: 4,
    Client.bad_input: 8,
}
"""What a client does, and how often out of a hundred times."""


def received(connection: socket.socket, *, pause: float = 0.0) -> tuple[int, bytes]:
    """A response's status and body, read with a pause every 8 kB."""
    with http.client.HTTPResponse(connection) as response:
        response.begin()
        body = bytearray()
        while part := response.read(8192):
            time.sleep(pause)
            body += part
        return response.status, bytes(body)


def vector(embedding: str | list[float]) -> list[float] | tuple[float, ...]:
    """An embedding's numbers, however it was encoded."""
    if not isinstance(embedding, str):
        return embedding
    content = base64.b64decode(embedding)
    return struct.unpack(f"<{len(content) // 4}f", content)


if __name__ == "__main__":
    sys.exit(main())
