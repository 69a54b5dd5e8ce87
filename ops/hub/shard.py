"""Shards: what Xet's client says about files once their xorbs are sent, and the files made of it.

The form is that of huggingface.co/docs/xet/shard. What a shard says about xorbs is not read: they
are known.
"""

from __future__ import annotations

import struct
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ops.hub.errors import HubError, bad_request
from ops.hub.lfs import Arriving
from ops.hub.repository import LargeFile
from ops.hub.xet_hash import SIZE, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.repository import Repository
    from ops.hub.xorb import Xorb, Xorbs

_TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
_VERSION = 2
_ENTRY = struct.Struct(f"<{SIZE}s4I")
"""Every entry of a shard: a hash, and four numbers of which some have a meaning."""
_BOOKEND = b"\xff" * SIZE
_WITH_CHECKS, _WITH_SHA256 = 1 << 31, 1 << 30
_XORBS_AT_HAND = 8


@dataclass(frozen=True)
class Term:
    """A part of a file: the chunks of a xorb from `start` up to, not including, `end`."""

    xorb: bytes
    start: int
    end: int
    size: int
    check: bytes


@dataclass(frozen=True)
class File:
    """What a file is, and of what."""

    large: LargeFile
    terms: tuple[Term, ...]


def read_shard(body: bytes) -> tuple[File, ...]:
    """The files of a shard; raises HubError (400) when it is none."""
    entries = _entries(body)
    tag, version, *_ = next(entries)
    if tag != _TAG or version != _VERSION:
        raise bad_request("The body is no shard of version 2")
    return tuple(_files(entries))


def put_together(files: tuple[File, ...], xorbs: Xorbs, git: Repository) -> None:
    """Make a shard's files large files of a repository.

    Raises:
        HubError: a xorb was not sent, or has not what the shard or the file's sha256 says (400).
            Of the files, those are kept that are right.
    """
    find = lru_cache(_XORBS_AT_HAND)(xorbs.find)
    for file in files:
        for term in file.terms:
            _check(term, find(term.xorb))
    for file in files:
        target = git.large_path(file.large)
        if target.is_file():
            continue
        with closing(Arriving(target, file.large)) as arriving:
            for term in file.terms:
                for piece in find(term.xorb).read(term.start, term.end):
                    arriving.write(piece)
            try:
                arriving.keep()
            except HubError as error:
                raise bad_request("A file is not what its sha256 says") from error


def _check(term: Term, xorb: Xorb) -> None:
    if not 0 <= term.start < term.end <= xorb.count:
        raise bad_request(f"The xorb {to_text(term.xorb)} has {xorb.count} chunks")
    if xorb.range_hash(term.start, term.end) != term.check:
        raise bad_request(f"The xorb {to_text(term.xorb)} has other chunks there")


Entry = tuple[bytes, int, int, int, int]


def _entries(body: bytes) -> Iterator[Entry]:
    whole = len(body) // _ENTRY.size * _ENTRY.size
    yield from _ENTRY.iter_unpack(memoryview(body)[:whole])
    raise bad_request("The shard ends too early")


def _files(entries: Iterator[Entry]) -> Iterator[File]:
    while (header := next(entries))[0] != _BOOKEND:
        _, flags, count, *_ = header
        if not flags & _WITH_CHECKS or not flags & _WITH_SHA256:
            raise bad_request("A file needs its verification entries and its sha256")
        parts = [next(entries) for _ in range(count)]
        checks = [next(entries)[0] for _ in range(count)]
        sha256 = to_text(next(entries)[0])
        terms = tuple(
            Term(xorb, start, end, size, check)
            for (xorb, _, size, start, end), check in zip(parts, checks, strict=True)
        )
        yield File(LargeFile(sha256, sum(term.size for term in terms)), terms)
