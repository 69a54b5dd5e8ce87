"""Starts the server as a container does: `python -m space_app` over an artefact."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Process:
    """`python -m space_app`, running."""

    process: subprocess.Popen[str]
    url: str

    def wait_until_healthy(self) -> None:
        """Return when /health is 200; fail when the process ends before."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate(timeout=60)[1]
            try:
                if httpx2.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)
        pytest.fail("it was never healthy")

    def end(self) -> tuple[int, str]:
        """Send SIGTERM; returns the exit code and the log."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, log


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[Process]:
    """Start the server on a free port; it is gone afterwards."""
    port = environment.setdefault("PORT", str(free_port()))
    process = subprocess.Popen(
        [sys.executable, "-m", "space_app"],
        env=os.environ
        | {"EMBED_MODEL_DIR": str(folder), "HOST": "127.0.0.1", "EMBED_THREADS": "1"}
        | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Process(process, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.communicate()
