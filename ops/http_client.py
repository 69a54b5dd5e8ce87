"""An HTTP client for servers that may answer anything, or lead elsewhere.

Every answer has a limit on its size and its time, and whatever was sent to one origin, keys and
bodies, is sent to no other.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

MIB = 1024 * 1024

_LIMITS = "ops.limits"
_FIRST = "ops.first"
"""Names of request extensions, which httpx2 hands on from one redirect to the next."""

_HARMLESS = frozenset({"accept", "accept-encoding", "connection", "host", "range", "user-agent"})
"""Headers that may follow a redirect to another origin."""

_READS = frozenset({"GET", "HEAD"})
_REDIRECT_LIMIT = 10
_REDIRECT_BODY = 64 * 1024


@dataclass
class _Deadline:
    """When `within` gives up, as `time.monotonic` has it; what it began must not go on then."""

    at: float = float("inf")


_deadline: contextvars.ContextVar[_Deadline] = contextvars.ContextVar(
    "deadline",
    default=_Deadline(),  # noqa: B039 -- nobody changes this one
)


class AnswerRefused(httpx2.RequestError):
    """An answer that is not taken; the text says why. Asking again would not help."""


class Redirected(AnswerRefused):
    """What was sent should be sent elsewhere; the text is where."""


class OutOfTime(Exception):
    """Something took longer than `within` allows."""


@dataclass(frozen=True)
class Limits:
    """How much of one answer is read, in bytes once unpacked, and for how long, in seconds."""

    size: float = 16 * MIB
    seconds: float = 120

    def extensions(self) -> dict[str, Any]:
        """The option of a request that it is for."""
        return {_LIMITS: self}


DEFAULT = Limits()
ENDLESS = Limits(size=float("inf"), seconds=float("inf"))
"""For a stream whose reader has limits of its own."""


class LimitedClient(httpx2.Client):
    """A client that reads no more than `Limits`, by default `limits`, and keeps keys at home.

    A redirect to another origin is followed without keys when nothing but a page or a file was
    asked for. Anything that was sent, such as the value of a secret, is sent to no other origin.
    """

    def __init__(self, *, limits: Limits = DEFAULT, **options: Any):
        self._limits = limits
        super().__init__(
            **options,
            max_redirects=_REDIRECT_LIMIT,
            event_hooks={"request": [self.guard], "response": [self._limit]},
        )

    def send(
        self, request: httpx2.Request, *, stream: bool = False, **options: Any
    ) -> httpx2.Response:
        """As any client.

        Raises:
            AnswerRefused: the answer is larger or slower than allowed.
            Redirected: it leads elsewhere with what was sent.
            httpx2.RequestError: any other failure.
        """
        limits = request.extensions.setdefault(_LIMITS, self._limits)
        response = super().send(request, stream=True, **options)
        if stream and response.is_success:
            return response
        try:
            content = b"".join(_counted(response.iter_bytes(), limits.size))
        finally:
            response.close()
        headers = response.headers.copy()
        headers.pop("Content-Encoding", None)  # it is unpacked
        return httpx2.Response(
            response.status_code,
            headers=headers,
            content=content,
            request=response.request,
            extensions=response.extensions,
            history=response.history,
        )

    def guard(self, request: httpx2.Request) -> None:
        """Look at each request before it is sent, those that follow a redirect among them.

        Raises:
            Redirected: it would send elsewhere what was sent already.
            AnswerRefused: the time is over.
        """
        if time.monotonic() > _deadline.get().at:
            raise AnswerRefused("it took too long")
        method, url = request.extensions.setdefault(_FIRST, (request.method, request.url))
        elsewhere = url != request.url and not is_same_place(url, request.url)
        if method not in _READS and (elsewhere or request.method != method):
            raise Redirected(str(request.url.copy_with(query=None, fragment=None)))
        if elsewhere:
            for name in set(request.headers) - _HARMLESS:
                del request.headers[name]

    def _limit(self, response: httpx2.Response) -> None:
        limits: Limits = response.request.extensions[_LIMITS]
        size = _REDIRECT_BODY if response.has_redirect_location else limits.size
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101 -- for the type checker
        response.stream = _Limited(response.stream, Limits(size, limits.seconds))


class _Limited(httpx2.SyncByteStream):
    """A body as it comes, up to its limits."""

    def __init__(self, stream: httpx2.SyncByteStream, limits: Limits):
        self._stream = stream
        self._size = limits.size
        self._until = time.monotonic() + limits.seconds
        self._deadline = _deadline.get()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in _counted(self._stream, self._size):
            if time.monotonic() > min(self._until, self._deadline.at):
                raise AnswerRefused("its answer does not end")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _counted(chunks: Iterable[bytes], size: float) -> Iterator[bytes]:
    for chunk in chunks:
        size -= len(chunk)
        if size < 0:
            raise AnswerRefused("its answer is too large")
        yield chunk


def is_same_place(home: httpx2.URL, url: httpx2.URL) -> bool:
    """Whether both are one origin, or the second is the first one's by TLS."""
    upgraded = (home.scheme, url.scheme) == ("http", "https") and home.host == url.host
    return home.origin == url.origin or (upgraded and home.port is None and url.port is None)


def within(seconds: float, do: Callable[[], T]) -> T:
    """Do it, or give up, also where a server sends a letter of its head now and then.

    Raises:
        OutOfTime: it takes longer. What it began ends at its next request or chunk.
    """
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
    deadline = _Deadline(min(time.monotonic() + seconds, _deadline.get().at))
    context = contextvars.copy_context()
    context.run(_deadline.set, deadline)

    def work() -> None:
        try:
            outcome.put((context.run(do), None))
        except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
            outcome.put((None, error))

    threading.Thread(target=work, name="within a time limit", daemon=True).start()
    try:
        result, raised = outcome.get(timeout=max(deadline.at - time.monotonic(), 0))
    except BaseException as error:
        deadline.at = 0
        if isinstance(error, queue.Empty):
            raise OutOfTime from None
        raise
    deadline.at = float("inf")  # a stream that it opened has limits of its own
    if raised is not None:
        raise raised
    return cast("T", result)
