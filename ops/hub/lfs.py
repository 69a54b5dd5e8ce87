"""Large files on their way: signed addresses to send them to, and the check of what arrives.

Git LFS' basic transfer (git-lfs/docs/api/basic-transfers.md). The client sends a file's content
without its token, so the address itself says who may: it is signed, for one file, for a while.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.hub.errors import HubError, bad_request, no_repository
from ops.hub.repository import LargeFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from ops.hub.store import Repo

VALID_FOR = 3600
_KEY = secrets.token_bytes(32)
"""Of this run: an address from before a restart is asked for again."""
_OID = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**63 - 1
"""Bytes: more is no file's size, and no number that everybody can read."""


def large_file(oid: object, size: object) -> LargeFile:
    """What a client names; raises HubError when it can be no file's name and size."""
    if not isinstance(oid, str) or not _OID.fullmatch(oid):
        raise bad_request('"oid" must be 64 hexadecimal digits')
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
        raise bad_request('"size" must be a number of bytes')
    return LargeFile(oid, size)


def address(purpose: str, repo: Repo, large: LargeFile) -> str:
    """The path that lets whoever has it do this with this file, for an hour."""
    until = int(time.time()) + VALID_FOR
    subject = _subject(purpose, f"{repo.kind}/{repo.id}", large, until)
    return f"/_lfs/{subject}/{_signature(subject)}"


def require_signed(
    purpose: str, repo_path: str, large: LargeFile, until: int, signature: str
) -> None:
    """Raise HubError (403) for an address that was not made here, or is too old."""
    good = _signature(_subject(purpose, repo_path, large, until))
    if not hmac.compare_digest(good.encode(), signature.encode()) or until < time.time():
        raise HubError(403, "This address is not signed, or no longer")


def _subject(purpose: str, repo_path: str, large: LargeFile, until: int) -> str:
    return f"{purpose}/{repo_path}/{large.sha256}/{large.size}/{until}"


def _signature(subject: str) -> str:
    return hmac.new(_KEY, subject.encode(), hashlib.sha256).hexdigest()


@contextmanager
def _in_a_repository() -> Iterator[None]:
    """Raise HubError (404) when the folder is gone: the repository was deleted or moved."""
    try:
        yield
    except FileNotFoundError as error:
        raise no_repository() from error


@dataclass
class Arriving:
    """A large file while it is received, beside where it will be; use `keep`, then `close`."""

    target: Path
    large: LargeFile
    _file: BinaryIO = field(init=False)
    _part: Path = field(init=False)
    _digest: hashlib._Hash = field(init=False)
    _size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._part = self.target.with_name(f"{self.target.name}.{secrets.token_hex(4)}.part")
        with _in_a_repository():
            # Not the repository's own folder, which goes with it.
            for folder in (self.target.parent.parent, self.target.parent):
                folder.mkdir(exist_ok=True)
            self._file = self._part.open("xb")
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Take a piece; raises HubError (400) when there are more bytes than were announced."""
        self._size += len(chunk)
        if self._size > self.large.size:
            raise bad_request(f"More than the {self.large.size} bytes that were announced")
        self._digest.update(chunk)
        self._file.write(chunk)

    def keep(self) -> None:
        """Give it its place, when it is what was announced; raises HubError (422) when not."""
        if self._size != self.large.size or self._digest.hexdigest() != self.large.sha256:
            raise HubError(422, "The content is not what its oid and size say")
        self._file.flush()
        os.fsync(self._file.fileno())
        with _in_a_repository():
            self._part.replace(self.target)

    def close(self) -> None:
        """Leave nothing half received."""
        self._file.close()
        self._part.unlink(missing_ok=True)
