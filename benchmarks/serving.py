"""How fast the server answers on this machine: start, one client, sixteen clients, memory.

    python benchmarks/serving.py MODEL_DIR [--seconds 10]

MODEL_DIR is what `python -m space_app.export` made. The server runs as a process of its own, the
clients in this one; on a machine that others use too, compare only what ran side by side.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

CLIENTS = 16
WARM_UP = 10
SHORT_QUERY = "what is the opening time of the museum on public holidays?"
WORDS = (
    "the of to and a in is it you that he was for on are with as his they be at one have this from "
    "or had by hot but some what there we can out other were all your when up use word how said an "
    "each she which do their time if will way about many then them would write like so these her "
    "long make thing see him two has look more day could go come did my sound no most number who"
).split()


@dataclass
class Tally:
    """What the clients got; `seconds` of each request."""

    seconds: list[float] = field(default_factory=list)
    tokens: int = 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "EMBED_MODEL_DIR": str(options.model_dir),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "EMBED_LOG_LEVEL": "warning",
    }
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "space_app"], env=environment) as server:
        try:
            measure(f"http://127.0.0.1:{port}", server, started, options.seconds)
        finally:
            server.terminate()


def measure(url: str, server: subprocess.Popen[bytes], started: float, seconds: float) -> None:
    """Everything about one server."""
    with httpx2.Client(base_url=url, timeout=60) as http:
        wait_until_healthy(http, server)
        print(f"start to healthy      {time.perf_counter() - started:8.1f} s")
        info = http.get("/info").json()
        alone = one_client(http, seconds)
    print(f"model                 {info['model']} ({info['backend']}, {info['precision']})")
    print(f"one client, p50       {statistics.median(alone) * 1000:8.1f} ms")
    print(f"one client, p95       {statistics.quantiles(alone, n=20)[-1] * 1000:8.1f} ms")
    tally = many_clients(url, seconds)
    total = len(tally.seconds)
    print(f"{CLIENTS} clients, mixed     {total / seconds:8.1f} requests/s")
    print(f"{CLIENTS} clients, mixed     {tally.tokens / seconds:8.0f} tokens/s")
    print(f"{CLIENTS} clients, p95       {statistics.quantiles(tally.seconds, n=20)[-1]:8.2f} s")
    print(f"resident memory       {psutil.Process(server.pid).memory_info().rss / 1e6:8.0f} MB")


def wait_until_healthy(http: httpx2.Client, server: subprocess.Popen[bytes]) -> None:
    """Return when it answers; ends the program when the server ended."""
    while server.poll() is None:
        try:
            if http.get("/health").status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            time.sleep(0.02)
    sys.exit(f"the server ended with exit code {server.returncode}")


def one_client(http: httpx2.Client, seconds: float) -> list[float]:
    """Seconds of each short query, one after another."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        before = time.perf_counter()
        http.post("/embed", json={"text": SHORT_QUERY}).raise_for_status()
        times.append(time.perf_counter() - before)
    return times[WARM_UP:]


def many_clients(url: str, seconds: float) -> Tally:
    """Documents of 10 to 200 words, one a request, from sixteen clients at once."""
    tally, lock = Tally(), threading.Lock()
    until = time.perf_counter() + seconds

    def client(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 -- the same texts in every run
        with httpx2.Client(base_url=url, timeout=120) as http:
            while time.perf_counter() < until:
                text = " ".join(chance.choices(WORDS, k=chance.randint(10, 200)))
                before = time.perf_counter()
                reply = http.post("/v1/embeddings", json={"model": "bench", "input": text})
                reply.raise_for_status()
                with lock:
                    tally.seconds.append(time.perf_counter() - before)
                    tally.tokens += reply.json()["usage"]["total_tokens"]

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


if __name__ == "__main__":
    main()
