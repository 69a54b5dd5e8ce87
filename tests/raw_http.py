"""HTTP/1.1 byte by byte: cases of its framing, how packets split them, and what comes back."""

from __future__ import annotations

import asyncio
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY = "key-of-a-test"
"""That the cases send."""

_CASES = Path(__file__).with_name("data") / "http_framing.toml"
_FLOOD = 200_000
_LONG = 2_000
_BETWEEN = 0.001
"""Seconds between packets, so that they stay apart."""

_NO_BODY = frozenset((204, 304))
_WORDS = {
    "%ASK%": f"POST /embed HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n",
    "%TEXT%": '{"text": "x"}',
    "%ALIVE%": "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
}


@dataclass(frozen=True)
class Case:
    """Bytes, and the outcomes that the RFCs allow: see `outcome`."""

    name: str
    sent: bytes
    allowed: tuple[str, ...]

    @property
    def replies(self) -> int:
        """How many there may be on a connection that stays open."""
        return max((len(told.split()) - 1 for told in self.allowed if "open" in told), default=99)


def cases() -> list[Case]:
    """All that are written down."""
    read = tomllib.loads(_CASES.read_text(encoding="utf-8"))["case"]
    return [Case(case["name"], _sent(case), tuple(case["allowed"])) for case in read]


def _sent(case: dict[str, str]) -> bytes:
    flood = case.get("flood", "")
    text = case["sent"] + flood * (_FLOOD // max(len(flood), 1)) + case.get("then", "")
    for word, meaning in _WORDS.items():
        text = text.replace(word, meaning)
    return text.encode("latin-1")


def splits(sent: bytes) -> Iterator[list[bytes]]:
    """In one packet, in two at each place where something ends, and in one for each byte."""
    yield [sent]
    if len(sent) > _LONG:
        yield [sent[at : at + _LONG] for at in range(0, len(sent), _LONG)]
        return
    for place in re.finditer(rb"[\r\n:;]", sent):
        yield [sent[: place.start()], sent[place.start() :]]
    yield [sent[at : at + 1] for at in range(len(sent))]


async def outcome(
    port: int, packets: Sequence[bytes], *, replies: int, patience: float, ends: bool = False
) -> str:
    """The statuses that come back, and whether the connection is then open, closed, or hangs.

    It is open when, after so many replies, another request is answered. Where it `ends`, the
    server is told that nothing more is sent.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.ensure_future(_send(writer, packets, ends=ends))
    statuses: list[int] = []
    try:
        async with asyncio.timeout(patience):
            while len(statuses) - statuses.count(100) < replies - (100 in statuses):
                statuses.append(await _status(reader))
            await sending
            writer.write(_WORDS["%ALIVE%"].encode())
            end = "open" if await _status(reader) else "?"
    except (asyncio.IncompleteReadError, ConnectionError):
        end = "closed"
    except TimeoutError:
        end = "hangs"
    finally:
        sending.cancel()
        writer.transport.abort()
    return " ".join((*map(str, statuses), end))


async def _send(writer: asyncio.StreamWriter, packets: Sequence[bytes], *, ends: bool) -> None:
    try:
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(_BETWEEN)
        if ends:
            writer.write_eof()
    except OSError:  # the reader finds out
        return


async def _status(reader: asyncio.StreamReader) -> int:
    """Read a whole reply; not a HEAD's."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
        await reader.readexactly(int(length[1]))
    elif re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif status >= 200 and status not in _NO_BODY:
        await reader.read()
    return status
