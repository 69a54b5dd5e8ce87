"""The body of a commit, as the Hub's OpenAPI description has it: lines of JSON, or one object.

Lines are carried out as they come, so that a commit of any number of files needs the memory of one.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from pydantic_core import from_json

from ops.hub.api.parsing import Asked, Text, parsed
from ops.hub.errors import HubError, bad_request
from ops.hub.repository import LFS_THRESHOLD, Delete, LargeFile, Move, Write, WriteLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from starlette.requests import Request

    from ops.hub.draft import Draft, Operation
    from ops.hub.repository import Repository

MAX_BODY = 1024**3
"""Bytes of all lines of a commit."""
MAX_LINE = LFS_THRESHOLD * 3 // 2
"""Bytes: room for a file of the largest size that goes into git, in base64."""


Encoding = Literal["utf-8", "base64"]
"""Of a file's content in JSON."""


def decoded_content(path: str, text: str, encoding: Encoding) -> bytes:
    """A file's content as git keeps it; raises HubError when it is not what it says (400)."""
    try:
        plain = encoding == "utf-8"
        content = text.encode() if plain else base64.b64decode(text, validate=True)
    except ValueError as error:
        raise bad_request(f'The content of "{path}" is not {encoding}') from error
    if len(content) > LFS_THRESHOLD:
        raise HubError(413, f'"{path}" is larger than 10 MiB: upload it as a large file')
    return content


class Header(Asked):
    """What a commit says of itself."""

    summary: Annotated[Text, Field(min_length=1)]
    description: Text | None = None
    parent_commit: str | None = None

    @property
    def message(self) -> str:
        """Title, then the description after an empty line."""
        return f"{self.summary}\n\n{self.description or ''}".strip() + "\n"


class _File(Asked):
    path: str
    content: str | None = None
    encoding: Encoding = "utf-8"
    old_path: str | None = None

    def operations(self, _: Repository) -> Iterator[Operation]:
        if self.old_path is not None:
            yield Move(self.old_path, self.path)
        elif self.content is None:
            raise bad_request(f'"{self.path}" has neither "content" nor "oldPath"')
        if self.content is not None:
            yield Write(self.path, decoded_content(self.path, self.content, self.encoding))


class _LargeFile(Asked):
    path: str
    oid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    algo: Literal["sha256"] = "sha256"
    size: Annotated[int, Field(ge=0)] | None = None
    old_path: str | None = None

    def operations(self, git: Repository) -> Iterator[Operation]:
        if self.old_path is not None:
            yield Move(self.old_path, self.path)
        elif self.oid is None:
            raise bad_request(f'"{self.path}" has neither "oid" nor "oldPath"')
        if self.oid is not None:
            yield WriteLarge(self.path, self._uploaded(git, self.oid))

    def _uploaded(self, git: Repository, oid: str) -> LargeFile:
        """What the store has, of which the client names the size or not (a copy has none)."""
        try:
            size = git.large_path(LargeFile(oid, 0)).stat().st_size
        except FileNotFoundError as error:
            raise HubError(422, f'The content of "{self.path}" was not uploaded') from error
        if self.size not in (None, size):
            raise bad_request(f'"{self.path}" was uploaded with {size} bytes, not {self.size}')
        return LargeFile(oid, size)


class _DeletedEntry(Asked):
    path: str

    def operations(self, _: Repository) -> Iterator[Operation]:
        yield Delete(self.path)


class _DeletedFile(_DeletedEntry):
    def operations(self, _: Repository) -> Iterator[Operation]:
        yield Delete(self.path, "file")


class _DeletedFolder(_DeletedEntry):
    def operations(self, _: Repository) -> Iterator[Operation]:
        yield Delete(self.path, "folder")


_OPERATIONS: dict[str, type[_File | _LargeFile | _DeletedEntry]] = {
    "file": _File,
    "lfsFile": _LargeFile,
    "deletedEntry": _DeletedEntry,
    "deletedFile": _DeletedFile,
    "deletedFolder": _DeletedFolder,
}
_LISTS = {"deletedEntries": "deletedEntry", "files": "file", "lfsFiles": "lfsFile"}
"""Keys of the one object, in the order in which they are carried out."""


class CommitBody:
    """Fills a draft; whatever is not as the protocol has it is a HubError (400)."""

    def __init__(self, git: Repository, draft: Draft):
        self._git = git
        self._draft = draft
        self._header: Header | None = None

    @property
    def header(self) -> Header:
        """Raises HubError when there was none."""
        if self._header is None:
            raise bad_request("The commit has no header")
        return self._header

    def take_lines(self, lines: Sequence[bytes]) -> None:
        """Carry out lines of a body in JSON lines."""
        for line in lines:
            if line.strip():
                entry = _object(line)
                self._take(entry.get("key"), entry.get("value"))

    def take_object(self, body: bytes) -> None:
        """Carry out a body that is one JSON object."""
        asked = _object(body)
        self._take("header", asked)
        for name, key in _LISTS.items():
            values = asked.get(name) or []
            if not isinstance(values, list):
                raise bad_request(f'"{name}" must be a list')
            for value in values:
                self._take(key, value)

    def _take(self, key: Any, value: Any) -> None:
        if key == "header":
            if self._header is not None:
                raise bad_request("The commit has two headers")
            self._header = parsed(Header, value)
            return
        if not isinstance(key, str) or key not in _OPERATIONS:
            raise bad_request(f"Unknown operation {key!r:.100}")
        for operation in parsed(_OPERATIONS[key], value).operations(self._git):
            self._draft.add(operation)


async def lines_of(request: Request) -> AsyncIterator[list[bytes]]:
    """Whole lines of a body, as many as have come at a time."""
    rest = bytearray()
    total = 0
    async for part in request.stream():
        total += len(part)
        rest += part
        if b"\n" in part:
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            yield lines
        if len(rest) > MAX_LINE or total > MAX_BODY:
            raise HubError(413, "The commit, or one line of it, is too large")
    yield [bytes(rest)]


def _object(text: bytes) -> dict[str, Any]:
    try:
        data = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise bad_request("A line of the commit is not JSON") from error
    if not isinstance(data, dict):
        raise bad_request("A line of the commit is not a JSON object")
    return data
