"""Git's smart HTTP protocol, answered by git itself: both bodies are passed on as they come.

Protocol: gitprotocol-http(5). What git says to a pushing client goes through unchanged, so a
refusal by `received` reaches people as `remote: …` lines.
"""

from __future__ import annotations

import asyncio
import os
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ops import files
from ops.adapters.watchdog import WATCHDOG
from ops.hub.errors import bad_request

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable

Service = Literal["git-upload-pack", "git-receive-pack"]
SERVICES: tuple[Service, ...] = ("git-upload-pack", "git-receive-pack")

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_HOOK = "#!/bin/sh\nexec {python} -I {script} {kind}\n"
_PUSH_RULES = ("receive.fsckObjects=true", "receive.hideRefs=refs/pr")
"""A forced push is taken: the Hub's documentation of GitHub Actions does it. Main cannot be
deleted, as it is what a repository's HEAD names (receive.denyDeleteCurrent)."""


async def advertise(git_dir: Path, service: Service, protocol: str) -> bytes:
    """The body of GET …/info/refs: what there is to fetch, or to push on."""
    process = await _start(git_dir, service, protocol, "--advertise-refs")
    found, _ = await process.communicate()
    if protocol.startswith("version=2") and service == "git-upload-pack":
        return found
    line = f"# service={service}\n".encode()
    return b"%04x" % (len(line) + 4) + line + b"0000" + found


async def answer(
    git_dir: Path, service: Service, protocol: str, body: AsyncIterator[bytes], *, zipped: bool
) -> Process:
    """Git, once it has read a request's body; `fetched` or `pushed` is what it says to it.

    Git says next to nothing before the body's end, which its pipe and ours hold.
    """
    process = await _start(git_dir, service, protocol)
    try:
        await _feed(process, _unzipped(body) if zipped else body)
    except BaseException:
        await _end(process)
        raise
    return process


async def fetched(process: Process) -> AsyncIterator[bytes]:
    """The body of the reply to a fetch, as git makes it, which ends with whoever wants it."""
    assert process.stdout is not None  # noqa: S101 -- a pipe
    try:
        while chunk := await process.stdout.read(_CHUNK):
            yield chunk
        await process.wait()
    finally:
        await _end(process)


def pushed(process: Process, done: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    """The body of the reply to a push, which is carried to its end whoever still listens.

    Else a branch could move without `done`, which is called before the reply's end.
    """
    task = asyncio.create_task(_finish(process, done))
    _pushes.add(task)
    task.add_done_callback(_pushes.discard)

    async def body() -> AsyncIterator[bytes]:
        yield await asyncio.shield(task)

    return body()


_pushes: set[asyncio.Task[bytes]] = set()
"""The event loop itself would forget them."""


async def _finish(process: Process, done: Callable[[], Awaitable[None]]) -> bytes:
    said, _ = await process.communicate()
    await done()
    return said


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def install_hook(git_dir: Path, kind: str) -> None:
    """Have pushes checked; written anew each time, because Python may have moved."""
    script = Path(__file__).with_name("received.py")
    hook = git_dir / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    text = _HOOK.format(python=_quoted(sys.executable), script=_quoted(str(script)), kind=kind)
    if not hook.is_file() or hook.read_text(encoding="utf-8") != text:
        files.write(hook, text.encode(), mode=0o755)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


async def _start(git_dir: Path, service: Service, protocol: str, *options: str) -> Process:
    rules = [word for rule in _PUSH_RULES for word in ("-c", rule)]
    return await asyncio.create_subprocess_exec(
        "git",
        *rules,
        service.removeprefix("git-"),
        "--stateless-rpc",
        *options,
        str(git_dir),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            **WATCHDOG.mark,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            # The folder is ours, whoever owns it: a Hub may serve what another user made.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROTOCOL": protocol,
        },
    )


async def _feed(process: Process, body: AsyncIterator[bytes]) -> None:
    """Pass a request on; git may have heard enough before its end."""
    assert process.stdin is not None  # noqa: S101 -- a pipe
    try:
        async for chunk in body:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return


async def _unzipped(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Clients zip long requests (http.c: `Content-Encoding: gzip`)."""
    unzip = zlib.decompressobj(_GZIP)
    try:
        async for chunk in body:
            rest = chunk
            while rest:
                yield unzip.decompress(rest, _CHUNK)
                rest = unzip.unconsumed_tail
        yield unzip.flush()
    except zlib.error as error:
        raise bad_request("The body is not gzip") from error
