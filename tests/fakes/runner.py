"""A runner without Docker or a model: what a tree's files say happens, over real HTTP.

A tree may hold `FAIL_BUILD`, `SLOW_BUILD`, `CRASH`, `DEAF` or `DIE`, each with a text; anything
else builds and starts. What it starts is a small app that shows what it was given, or whatever
`app` makes.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fakes.embedding_server import serving
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from ops.errors import BuildFailed
from ops.runner import CPU_BASIC, Image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from ops.runner import Limits, Log


@dataclass
class FakeRunning:
    """A started app; `die` ends it as a crash would."""

    url: str
    _stack: ExitStack
    _code: int | None = None

    def exit_code(self) -> int | None:
        return self._code

    def resident_bytes(self) -> int | None:
        return 1_000_000 if self._code is None else None

    def die(self, code: int) -> None:
        self._code = code
        self._stack.close()

    def stop(self) -> None:
        self._stack.close()


@dataclass
class FakeRunner:
    """Implements `ops.runner.Runner`; `started` and `build_args` are what a test may look at."""

    app: Callable[[Mapping[str, str]], ASGIApp] | None = None  # the tree's files -> app
    started: list[FakeRunning] = field(default_factory=list)
    build_args: list[dict[str, str]] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "fake"

    def forget(self) -> None:
        """Be as new."""
        for told in (self.started, self.build_args, self.limits):
            told.clear()

    def for_owner(self, owner: str) -> FakeRunner:  # noqa: ARG002
        return self

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        files = {path.name: path.read_text() for path in tree.glob("[A-Z]*") if path.is_file()}
        self.build_args.append(dict(build_args))
        log(f"Building {tag}")
        if "SLOW_BUILD" in files:
            for step in range(int(files["SLOW_BUILD"])):
                log(f"step {step}")
                time.sleep(0.05)
        if "FAIL_BUILD" in files:
            raise BuildFailed(files["FAIL_BUILD"], log_tail=("the last line",))
        return Image(json.dumps(files), sum(map(len, files.values())))

    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        log: Log,
        limits: Limits = CPU_BASIC,
        app_port: int = 7860,
    ) -> FakeRunning:
        files = json.loads(image.reference)
        self.limits.append(limits)
        log(f"Listening on {app_port}")
        stack = ExitStack()
        app = self.app(files) if self.app is not None else _echo(files, environment)
        running = FakeRunning(stack.enter_context(serving(app)), stack)
        self.started.append(running)
        if "CRASH" in files:
            log(files["CRASH"])
            running.die(3)
        elif "DEAF" in files:
            stack.close()
        return running


def _echo(files: Mapping[str, str], environment: Mapping[str, str]) -> ASGIApp:
    async def show(request: Request) -> Response:
        return JSONResponse(
            {
                "version": files.get("VERSION", ""),
                "environment": dict(environment),
                "headers": dict(request.headers),
                "path": str(request.url.path),
                "query": request.url.query,
                "body": (await request.body()).decode(),
            }
        )

    async def stream(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        return StreamingResponse(parts(), headers={"x-own": "kept"})

    methods = ["GET", "POST", "HEAD"]
    return Starlette(
        routes=[Route("/stream", stream), Route("/{path:path}", show, methods=methods)]
    )
