"""RFC 9112 at the wire of the real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from raw_http import KEY, Case, cases, outcome, splits
from server_process import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server_process import Process


@pytest.fixture(name="server", scope="module")
def _server(artefact: Path) -> Iterator[Process]:
    with started(artefact, EMBED_API_KEYS=f"test={KEY}", EMBED_LOG_LEVEL="error") as server:
        server.wait_until_healthy()
        yield server
        code, log = server.end()
        assert (code, log) == (0, "")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_framing(server: Process, case: Case) -> None:
    """What comes back is what the RFCs allow, and the same however packets split the request."""
    port = int(server.url.rpartition(":")[2])

    async def outcomes() -> list[str]:
        asked = (
            outcome(port, packets, replies=case.replies, patience=30)
            for packets in splits(case.sent)
        )
        return await asyncio.gather(*asked)

    (found,) = set(asyncio.run(outcomes()))
    assert found in case.allowed
