"""What Xet's client sends, made by hand so that it can be made wrong."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

import lz4.frame

from ops.hub.xet_hash import chunk_hash, from_text, range_hash, to_text, xorb_hash

_TAG = b"HFRepoMetaData\0" + bytes(
    (85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169)
)
_BOOKEND = b"\xff" * 32 + bytes(16)
CHECKS, SHA256 = 1 << 31, 1 << 30


@dataclass(frozen=True)
class Packed:
    """A xorb of some chunks: as sent, and the name that it is sent under."""

    chunks: tuple[bytes, ...]
    body: bytes

    @property
    def digest(self) -> bytes:
        return xorb_hash([(chunk_hash(c), len(c)) for c in self.chunks])

    @property
    def name(self) -> str:
        return to_text(self.digest)


def packed(*chunks: bytes, scheme: int = 0) -> Packed:
    """A xorb; scheme 1 is LZ4, 2 groups every fourth byte before."""
    return Packed(chunks, b"".join(chunk(c, scheme) for c in chunks))


def chunk(content: bytes, scheme: int = 0, *, size: int | None = None) -> bytes:
    """A chunk of a xorb, whose header may lie about the size."""
    sent = content
    if scheme == 2:
        sent = b"".join(content[group::4] for group in range(4))
    if scheme:
        sent = lz4.frame.compress(sent)
    lengths = [n.to_bytes(3, "little") for n in (len(sent), len(content) if size is None else size)]
    return b"\0" + lengths[0] + bytes([scheme]) + lengths[1] + sent


@dataclass(frozen=True)
class Shard:
    """A shard of one file, all chunks of a xorb from `start` to `end`."""

    xorb: Packed
    start: int = 0
    end: int = 1
    flags: int = CHECKS | SHA256
    size: int | None = None
    sha256: str | None = None
    check: bytes | None = None

    def but(self, **changes: object) -> Shard:
        return replace(self, **changes)

    @property
    def content(self) -> bytes:
        return b"".join(self.xorb.chunks[self.start : self.end])

    @property
    def body(self) -> bytes:
        hashes = b"".join(chunk_hash(c) for c in self.xorb.chunks[self.start : self.end])
        size = len(self.content) if self.size is None else self.size
        sha256 = self.sha256 or hashlib.sha256(self.content).hexdigest()
        parts = [
            _TAG + struct.pack("<QQ", 2, 0),
            bytes(32) + struct.pack("<II8x", self.flags, 1),
            self.xorb.digest + struct.pack("<IIII", 0, size, self.start, self.end),
            (self.check or range_hash(hashes)) + bytes(16),
            from_text(sha256) + bytes(16),
            _BOOKEND,
            _BOOKEND,
        ]
        return b"".join(parts)
