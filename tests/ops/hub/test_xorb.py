from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from fakes.xet import chunk, packed

from ops.hub.errors import HubError
from ops.hub.xorb import MAX_XORB, Xorbs

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.xet import Packed

    from ops.hub.xorb import Xorb

TEXT = b"many words, " * 5000
FLOATS = bytes(range(256)) * 40 + b"odd"
RANDOM = os.urandom(20_000)


def received(xorbs: Xorbs, sent: Packed, *, step: int = 7919) -> Xorb:
    """A xorb that came in pieces of so many bytes."""
    with closing(xorbs.unpack(sent.digest)) as unpacking:
        for at in range(0, len(sent.body), step):
            unpacking.write(sent.body[at : at + step])
        unpacking.keep()
    return xorbs.find(sent.digest)


def files(folder: Path) -> list[str]:
    """What the store has beside its id."""
    return [p.name for p in folder.rglob("*") if p.is_file() and p.name != "id"]


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["plain", "LZ4", "grouped LZ4"])
@pytest.mark.parametrize("step", [1, 7919, 10**6])
def test_a_xorb_is_unpacked(tmp_path: Path, scheme: int, step: int) -> None:
    """Of every compression, and however it comes, any range of its chunks is what was sent."""
    chunks = (b"x", FLOATS, b"1234567") if step == 1 else (TEXT, FLOATS, b"1234567", RANDOM)
    xorb = received(Xorbs(tmp_path), packed(*chunks, scheme=scheme), step=step)
    for start in range(len(chunks)):
        for end in range(start + 1, len(chunks) + 1):
            whole = b"".join(chunks[start:end])
            assert b"".join(xorb.read(start, end)) == whole
            assert xorb.size(start, end) == len(whole)


def test_what_old_clients_send_behind_the_chunks_is_passed_over(tmp_path: Path) -> None:
    """The footer says nothing that the chunks do not."""
    sent = packed(TEXT, RANDOM)
    footed = type(sent)(sent.chunks, sent.body + b"XETBLOB\0" + os.urandom(300))
    assert received(Xorbs(tmp_path), footed).count == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        packed(TEXT, RANDOM).body[:-1],
        packed(TEXT, RANDOM).body + b"\0\0\0",
        packed(TEXT).body,
        packed(RANDOM, TEXT).body,
        chunk(TEXT, size=5) + chunk(RANDOM),
        chunk(TEXT, 1, size=len(TEXT) - 1) + chunk(RANDOM),
        chunk(TEXT, 1)[:4] + b"\7" + chunk(TEXT, 1)[5:] + chunk(RANDOM),
        chunk(TEXT)[:4] + b"\1" + chunk(TEXT)[5:] + chunk(RANDOM),
        chunk(bytes(2**24 - 1), 1) + chunk(RANDOM),
        b"\1" + packed(TEXT, RANDOM).body[1:],
        b"\0" * 64,
    ],
    ids=[
        "empty",
        "truncated",
        "with a rest",
        "a chunk missing",
        "another order",
        "another size",
        "grows too much",
        "unknown compression",
        "not compressed",
        "too large a chunk",
        "another version",
        "nothing but zeros",
    ],
)
def test_what_is_not_the_xorb_of_its_name_is_not_kept(tmp_path: Path, body: bytes) -> None:
    """Each is refused as the client's mistake, and leaves nothing."""
    xorbs = Xorbs(tmp_path)
    sent = packed(TEXT, RANDOM)
    with pytest.raises(HubError) as caught:
        received(xorbs, type(sent)(sent.chunks, body))
    assert caught.value.status == 400
    assert files(tmp_path) == []


def test_the_only_chunk_of_a_xorb_has_its_size(tmp_path: Path) -> None:
    """The name of such a xorb is its chunk's, which says nothing of a size."""
    sent = packed(TEXT)
    with pytest.raises(HubError):
        received(Xorbs(tmp_path), type(sent)(sent.chunks, chunk(TEXT, size=len(TEXT) - 1)))
    assert files(tmp_path) == []


def test_a_xorb_that_does_not_end_is_refused(tmp_path: Path) -> None:
    """Whoever sends more than a xorb may have is stopped."""
    endless = chunk(bytes(100_000))
    with closing(Xorbs(tmp_path).unpack(bytes(32))) as unpacking:

        def send() -> None:
            for _ in range(2 * MAX_XORB // len(endless)):
                unpacking.write(endless)

        with pytest.raises(HubError):
            send()
    assert files(tmp_path) == []


def test_a_xorb_of_crumbs_is_refused(tmp_path: Path) -> None:
    """The list of its chunks would be many times what was sent."""
    crumbs = packed(*[b"x"] * (8 * 1024))
    assert received(Xorbs(tmp_path / "full"), crumbs).count == 8 * 1024
    with pytest.raises(HubError, match="8192 chunks"):
        received(Xorbs(tmp_path / "over"), type(crumbs)(crumbs.chunks, crumbs.body + chunk(b"x")))
    assert files(tmp_path / "over") == []


def test_what_was_not_sent_is_not_there(tmp_path: Path) -> None:
    """Nor is what lost its end, as when the machine lost power: it may be sent again."""
    xorbs, sent = Xorbs(tmp_path), packed(TEXT)
    with pytest.raises(HubError):
        xorbs.find(sent.digest)
    path = received(xorbs, sent).path
    path.write_bytes(path.read_bytes()[:2])
    with pytest.raises(HubError):
        xorbs.find(sent.digest)
    assert b"".join(received(xorbs, sent).read(0, 1)) == TEXT


def test_a_store_keeps_its_id_and_no_half_xorbs(tmp_path: Path) -> None:
    """Another start finds the same store; another folder is another store."""
    first = Xorbs(tmp_path / "one")
    unpacking = first.unpack(packed(TEXT).digest)
    unpacking.write(packed(TEXT).body)
    assert len(files(tmp_path / "one")) == 1
    again = Xorbs(tmp_path / "one")
    assert files(tmp_path / "one") == []
    unpacking.close()
    assert again.id == first.id != Xorbs(tmp_path / "two").id
