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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
import uvicorn
from fakes.embedder import STEP_SHAPES, FakeEmbedder, fake_manifest
from server_process import started

from space_app.api.app import create_app
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
    server = Server(uvicorn.Config(app, log_config=None), service)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            embedder.gate.set()
            server.should_exit = True
            thread.join(timeout=30)


def test_a_signal_drains(tmp_path: Path) -> None:
    """What was admitted is answered after SIGTERM, meanwhile /health says 503, then it ends."""
    embedder = FakeEmbedder()
    embedder.gate.clear()
    with (
        gated(embedder, tmp_path) as (server, url),
        httpx2.Client(base_url=url, trust_env=False, timeout=30) as http,
        ThreadPoolExecutor() as threads,
    ):
        answer = threads.submit(http.post, "/embed", json={"text": "x"})
        assert embedder.started.acquire(timeout=30)
        server.handle_exit(signal.SIGTERM, None)

        assert http.get("/health").status_code == 503
        assert http.post("/embed", json={"text": "late"}).status_code == 503
        embedder.gate.set()
        assert answer.result(timeout=30).status_code == 200
        with pytest.raises(httpx2.TransportError):
            _until_refused(url)


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


def _until_refused(url: str) -> None:
    for _ in range(600):
        httpx2.get(f"{url}/livez", trust_env=False)
        time.sleep(0.05)


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
