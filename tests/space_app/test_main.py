from __future__ import annotations

import json
import math
import operator
import os
import shutil
import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
import uvicorn
from fakes.embedder import STEP_SHAPES, FakeEmbedder, fake_manifest
from server_process import started
from waiting import wait_until

from space_app.api.app import create_app
from space_app.api.connection import Connection
from space_app.api.serving import Server
from space_app.core import manifest
from space_app.core.service import Service
from space_app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "key-of-a-test"


def failed_start(folder: Path, **environment: str) -> str:
    """What a server that cannot start says last."""
    with started(folder, **environment) as server:
        _, log = server.process.communicate(timeout=120)
    assert server.process.returncode == 1
    assert "Traceback" not in log
    return log.splitlines()[-1]


def test_it_serves_the_artefact_and_ends_on_sigterm(artefact: Path) -> None:
    """The canary comes back as it was checked at the start, and SIGTERM is exit code 0."""
    canary = manifest.read(artefact).canaries[1]
    with started(artefact, EMBED_API_KEYS=f"test={KEY}") as server:
        server.wait_until_healthy()
        reply = httpx2.post(
            f"{server.url}/v1/embeddings",
            json={"input": canary.text},
            headers={"Authorization": f"Bearer {KEY}"},
            trust_env=False,
        )
        code, log = server.end()

    found = reply.json()["data"][0]["embedding"]
    assert sum(map(operator.mul, found, canary.vector)) > 0.97
    assert code == 0
    assert "API keys: test" in log
    assert KEY not in log


@contextmanager
def gated(embedder: FakeEmbedder, folder: Path) -> Iterator[tuple[Server, str]]:
    """The server over a fake embedder, in a thread, and its URL."""
    service = Service(embedder, fake_manifest(), max_inputs=8)
    app = create_app(service, Settings(model_dir=folder))
    server = Server(uvicorn.Config(app, http=Connection, log_config=None), service)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            embedder.gate.set()
            server.should_exit = True
            thread.join(timeout=30)


def sent(url: str, data: bytes) -> socket.socket:
    """A connection on which that was sent."""
    host, port = url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=30)
    client.sendall(data)
    return client


def reply(client: socket.socket) -> bytes:
    """All that arrives before the server hangs up."""
    received = b""
    with client:
        while more := client.recv(65536):
            received += more
    return received


def is_refused(url: str) -> bool:
    """Whether nobody listens any more."""
    try:
        sent(url, b"").close()
    except ConnectionRefusedError:
        return True
    return False


ASK = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n"
TEXT = b'{"text": "x"}'
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_signal_drains(tmp_path: Path) -> None:
    """What has arrived is answered, to the last byte that is still on its way; nobody is let in."""
    embedder = FakeEmbedder()
    embedder.gate.clear()
    with gated(embedder, tmp_path) as (server, url):
        computing = sent(url, ASK + TEXT)
        assert embedder.started.acquire(timeout=30)
        in_head, in_body, idle = sent(url, ASK[:20]), sent(url, ASK + TEXT[:5]), sent(url, HEALTH)
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
        server.handle_exit(signal.SIGTERM, None)

        wait_until(lambda: is_refused(url))
        assert reply(idle) == b""
        in_head.sendall(ASK[20:] + TEXT)
        in_body.sendall(TEXT[5:])
        embedder.gate.set()
        for client in (computing, in_head, in_body):
            received = reply(client)
            assert received.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in received


def test_a_signal_does_not_overtake_requests(artefact: Path) -> None:
    """Requests that are in their sockets when the signal comes are answered, not refused."""
    with started(artefact) as server:
        server.wait_until_healthy()
        server.process.send_signal(signal.SIGSTOP)
        clients = [sent(server.url, ASK + TEXT) for _ in range(20)]
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        statuses = {reply(client).split(b" ", 2)[1] for client in clients}
        code, _ = server.end()

    assert (statuses, code) == ({b"200"}, 0)


def test_a_signal_waits_for_slow_readers(artefact: Path) -> None:
    """A reply that is read slowly arrives whole, in seconds that a stopped server has."""
    body = json.dumps({"input": [f"word {n}" for n in range(2048)]}).encode()
    with started(artefact, EMBED_THREADS="2") as server:
        server.wait_until_healthy()
        head = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        with sent(server.url, head % len(body) + body) as client:
            received = client.recv(1)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_refused(server.url))
            # uvicorn's own limit was three seconds.
            time.sleep(4)
            assert server.process.poll() is None
            while more := client.recv(1024 * 1024):
                received += more
        assert server.process.wait(timeout=30) == 0

    assert received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("again", [True, False], ids=["second signal", "time is up"])
def test_draining_ends(tmp_path: Path, again: bool) -> None:  # noqa: FBT001 -- parametrised
    """Whoever has no answer then is told 503; an answer that nobody reads is cut."""
    embedder = FakeEmbedder()
    embedder.gate.clear()
    with gated(embedder, tmp_path) as (server, url):
        server.drain_seconds = 30 if again else 0.5
        computing = sent(url, ASK + TEXT)
        assert embedder.started.acquire(timeout=30)
        server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: is_refused(url))
        if again:
            server.handle_exit(signal.SIGTERM, None)
        received = reply(computing)
        embedder.gate.set()

    assert received.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"stopping"' in received


def test_it_warms_up_once_it_listens(tmp_path: Path) -> None:
    """Without anybody asking, every length is computed, and /info says when that is done."""
    embedder = FakeEmbedder()
    with (
        gated(embedder, tmp_path) as (_, url),
        httpx2.Client(base_url=url, trust_env=False, timeout=30) as http,
    ):
        assert http.get("/health").status_code == 200
        for _ in range(3000):
            if http.get("/info").json()["warm"]:
                break
            time.sleep(0.01)

    assert set(embedder.warmed) == {shape.tokens for shape in STEP_SHAPES}


def test_wrong_vectors_never_listen(artefact: Path, tmp_path: Path) -> None:
    """An artefact whose canaries disagree ends the server with exit code 1 and one clear line."""
    shutil.copytree(artefact, tmp_path / "model", copy_function=os.symlink)
    described = manifest.read(artefact)
    first, second, *rest = described.canaries
    swapped = (
        first.model_copy(update={"vector": second.vector}),
        second.model_copy(update={"vector": first.vector}),
        *rest,
    )
    (tmp_path / "model" / manifest.FILE_NAME).unlink()
    manifest.write(described.model_copy(update={"canaries": swapped}), tmp_path / "model")

    assert "not those of its export: cosine" in failed_start(tmp_path / "model")


def test_a_canary_that_is_not_a_number(artefact: Path, tmp_path: Path) -> None:
    """NaN in one canary does not switch the check of the others off: the server does not start."""
    shutil.copytree(artefact, tmp_path / "model", copy_function=os.symlink)
    described = json.loads((artefact / manifest.FILE_NAME).read_text())
    for canary in described["canaries"]:
        for vector in (canary["vector"], *canary["exported"].values()):
            vector[:] = [-number for number in vector]
            if canary is described["canaries"][2]:
                vector[5] = math.nan
    (tmp_path / "model" / manifest.FILE_NAME).unlink()
    (tmp_path / "model" / manifest.FILE_NAME).write_text(json.dumps(described))

    assert "canaries.2.vector.5: Input should be a finite number" in failed_start(
        tmp_path / "model"
    )


def test_no_artefact(tmp_path: Path) -> None:
    """An empty folder is told what makes an artefact."""
    assert "space_app.export" in failed_start(tmp_path)


def test_a_wrong_setting(artefact: Path) -> None:
    """A wrong variable is named."""
    assert "EMBED_MAX_INPUTS is 'many'" in failed_start(artefact, EMBED_MAX_INPUTS="many")


def test_a_taken_port(artefact: Path) -> None:
    """A port that somebody else listens on is known before the model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failed_start(artefact, PORT=str(port))

    assert f"PORT {port}: Address already in use" in line
