from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from fakes.xet import CHECKS, SHA256, Shard, packed

from ops.hub.errors import HubError
from ops.hub.repository import LargeFile, Repository
from ops.hub.shard import put_together, read_shard
from ops.hub.xorb import Xorbs

if TYPE_CHECKING:
    from pathlib import Path

XORB = packed(b"first" * 3000, b"second" * 2000, b"third" * 900, scheme=1)
SHARD = Shard(XORB, 1, 3)


@pytest.fixture
def xorbs(tmp_path: Path) -> Xorbs:
    """A store that has the xorb."""
    xorbs = Xorbs(tmp_path / "xet")
    with closing(xorbs.unpack(XORB.digest)) as unpacking:
        unpacking.write(XORB.body)
        unpacking.keep()
    return xorbs


@pytest.fixture
def git(tmp_path: Path) -> Repository:
    """A repository without anything."""
    return Repository.create(tmp_path / "repo")


def large_files(git: Repository) -> list[str]:
    """What is kept, half made files included."""
    return [p.name for p in (git.folder / "lfs").rglob("*") if p.is_file()]


def test_a_file_is_put_together(xorbs: Xorbs, git: Repository) -> None:
    """Its chunks make a large file of the repository, also when it comes twice."""
    large = LargeFile(hashlib.sha256(SHARD.content).hexdigest(), len(SHARD.content))
    for _ in range(2):
        put_together(read_shard(SHARD.body), xorbs, git)
        assert git.large_path(large).read_bytes() == SHARD.content
        assert large_files(git) == [large.sha256]


@pytest.mark.parametrize(
    "shard",
    [
        SHARD.but(xorb=packed(b"another", b"one", b"here")),
        SHARD.but(end=4, size=1),
        SHARD.but(start=2, end=2),
        SHARD.but(size=len(SHARD.content) - 1),
        SHARD.but(check=bytes(32)),
        SHARD.but(sha256="0" * 64),
    ],
    ids=["unknown xorb", "chunks beyond", "no chunks", "size", "range hash", "sha256"],
)
def test_a_file_that_its_xorbs_do_not_make_is_refused(
    xorbs: Xorbs, git: Repository, shard: Shard
) -> None:
    """As the client's mistake, and nothing is kept."""
    with pytest.raises(HubError) as caught:
        put_together(read_shard(shard.body), xorbs, git)
    assert caught.value.status == 400
    assert large_files(git) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * 480,
        SHARD.body[:-96],
        SHARD.body[:-100],
        SHARD.body[:32] + b"\3" + SHARD.body[33:],
        SHARD.body[:84] + b"\xff\xff\xff\xff" + SHARD.body[88:],
        SHARD.but(flags=CHECKS).body,
        SHARD.but(flags=SHA256).body,
    ],
    ids=[
        "empty",
        "another tag",
        "without an end",
        "truncated",
        "another version",
        "more terms than bytes",
        "without sha256",
        "without checks",
    ],
)
def test_what_is_no_shard_is_refused(body: bytes) -> None:
    """As the client's mistake."""
    with pytest.raises(HubError) as caught:
        read_shard(body)
    assert caught.value.status == 400
