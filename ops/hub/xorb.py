"""Xorbs: the pieces of files that Xet's client sends, each some chunks of up to 64 MiB together.

The form in which they come is that of huggingface.co/docs/xet/xorb. They are kept unpacked, with
an index behind, since nobody asks for them again: files are put together from them, and files are
what is downloaded.
"""

from __future__ import annotations

import os
import secrets
import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import lz4.frame

from ops import files
from ops.hub.errors import bad_request
from ops.hub.xet_hash import SIZE, chunk_hash, range_hash, to_text, xorb_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.hub.xet_hash import Chunk

MAX_XORB = 64 * 1024 * 1024
"""Bytes as sent (docs/xet/xorb)."""
_MAX_CHUNKS = 8 * 1024
"""As Hugging Face's JavaScript client has it (its createXorbs.ts). The documentation names no
limit, and the list of a xorb of single bytes would fill the memory."""
_MAX_FOOTER = 1024 * 1024
_FOOTER = b"XETBLOB"
"""What old clients send behind the chunks; all that it says is known from them."""
_HEADER = 8
_MAX_CHUNK = 128 * 1024
_PLAIN, _LZ4, _GROUPED_LZ4 = 0, 1, 2
_GROUPS = 4
_PIECE = 1024 * 1024
_LENGTH = struct.Struct("<I")
_ENTRY = SIZE + _LENGTH.size


@dataclass(frozen=True)
class Xorb:
    """One that is there: the hashes of its chunks one behind the other, and where each ends."""

    path: Path
    hashes: bytes
    ends: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many chunks it has."""
        return len(self.ends)

    def size(self, start: int, end: int) -> int:
        """Bytes of the chunks from `start` up to, not including, `end`."""
        return self.ends[end - 1] - self._begin(start)

    def range_hash(self, start: int, end: int) -> bytes:
        """What names these chunks."""
        return range_hash(self.hashes[start * SIZE : end * SIZE])

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The content of these chunks, in pieces."""
        left = self.size(start, end)
        with self.path.open("rb") as file:
            file.seek(self._begin(start))
            while left and (piece := file.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece

    def _begin(self, chunk: int) -> int:
        return self.ends[chunk - 1] if chunk else 0


class Xorbs:
    """All of a Hub's, in a folder of their own; `id` is another for every folder.

    The client remembers which xorbs a store has, by the store's address. The id is part of the
    address, so that a new folder is not taken for one that has them.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        for part in folder.glob("*/*.part"):
            part.unlink()
        self.id = _id_in(folder / "id")

    def find(self, name: bytes) -> Xorb:
        """A xorb by its hash; raises HubError (400) when it was not sent."""
        path = self._path(name)
        try:
            return Xorb(path, *_index(path))
        except (OSError, struct.error) as error:
            raise bad_request(f"The xorb {to_text(name)} was not sent") from error

    def unpack(self, name: bytes) -> Unpacking:
        """Receive a xorb; use its `keep`, then `close`."""
        return Unpacking(self._path(name), name)

    def _path(self, name: bytes) -> Path:
        text = to_text(name)
        return self._folder / text[:2] / text


class Unpacking:
    """A xorb while it is received: unpacked, and checked against the hash that it came under."""

    def __init__(self, target: Path, name: bytes):
        self._target, self._name = target, name
        self._packed = bytearray()
        self._chunks: list[Chunk] = []
        self._received = 0
        self._ended = False
        target.parent.mkdir(parents=True, exist_ok=True)
        self._part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        self._file = self._part.open("xb")

    def write(self, piece: bytes) -> None:
        """Take what came; raises HubError (400) when it is no xorb's."""
        self._received += len(piece)
        if self._received > MAX_XORB + _MAX_FOOTER:
            raise bad_request(f"A xorb has at most {MAX_XORB} bytes")
        if self._ended:
            return
        self._packed += piece
        while len(self._packed) >= _HEADER and not self._ended:
            if self._packed.startswith(_FOOTER):
                self._ended = True
                self._packed.clear()
            elif not self._take_chunk():
                break

    def keep(self) -> bool:
        """Give it its place; returns whether it is new. Raises HubError (400) for another hash."""
        if self._packed:
            raise bad_request("The xorb ends within a chunk")
        if not self._chunks or xorb_hash(self._chunks) != self._name:
            raise bad_request("The xorb is not the one that its address names")
        for digest, size in self._chunks:
            self._file.write(digest + _LENGTH.pack(size))
        self._file.write(_LENGTH.pack(len(self._chunks)))
        self._file.flush()
        os.fsync(self._file.fileno())
        is_new = not self._target.exists()
        self._part.replace(self._target)
        return is_new

    def close(self) -> None:
        """Leave nothing half received."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _take_chunk(self) -> bool:
        """Unpack the next chunk, when all of it has come."""
        header = bytes(self._packed[:_HEADER])
        version, scheme = header[0], header[4]
        packed, size = (int.from_bytes(header[at : at + 3], "little") for at in (1, 5))
        if version or not 0 < size <= _MAX_CHUNK or packed > 2 * _MAX_CHUNK:
            raise bad_request("A chunk's header is not as the format has it")
        if len(self._chunks) == _MAX_CHUNKS:
            raise bad_request(f"A xorb has at most {_MAX_CHUNKS} chunks")
        end = _HEADER + packed
        if len(self._packed) < end:
            return False
        with memoryview(self._packed) as whole:  # a slice of the array itself would be a copy more
            content = _unpacked(scheme, bytes(whole[_HEADER:end]), size)
        del self._packed[:end]
        self._chunks.append((chunk_hash(content), size))
        self._file.write(content)
        return True


def _unpacked(scheme: int, packed: bytes, size: int) -> bytes:
    if scheme == _PLAIN:
        content = packed
    elif scheme in (_LZ4, _GROUPED_LZ4):
        content = _decompressed(packed, size)
    else:
        raise bad_request(f"Compression scheme {scheme} is not known")
    if len(content) != size:
        raise bad_request("A chunk has not the size that its header says")
    return _ungrouped(content) if scheme == _GROUPED_LZ4 else content


def _decompressed(packed: bytes, size: int) -> bytes:
    """No more than one byte too many, whatever the frame would become."""
    try:
        content: bytes = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
    except (RuntimeError, EOFError) as error:
        raise bad_request("A chunk is not compressed as its header says") from error
    return content


def _ungrouped(content: bytes) -> bytes:
    """First bytes of all fours, then second ones, and so on: put back into their order."""
    whole = bytearray(len(content))
    start = 0
    for group in range(_GROUPS):
        end = start + len(range(group, len(content), _GROUPS))
        whole[group::_GROUPS] = content[start:end]
        start = end
    return bytes(whole)


def _index(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """Hashes and ends of an unpacked xorb's chunks."""
    with path.open("rb") as file:
        file.seek(-_LENGTH.size, os.SEEK_END)
        count = _LENGTH.unpack(file.read())[0]
        file.seek(-_LENGTH.size - count * _ENTRY, os.SEEK_END)
        entries = list(struct.iter_unpack(f"<{SIZE}sI", file.read(count * _ENTRY)))
    hashes = b"".join(digest for digest, _ in entries)
    return hashes, tuple(accumulate(size for _, size in entries))


def _id_in(path: Path) -> str:
    """What the file says; made when it is not there, whole or not at all."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, secrets.token_hex(8).encode())
        return path.read_text(encoding="ascii")
