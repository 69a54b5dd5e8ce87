"""The one object that routes call: admits a request, has it computed among others, answers."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from space_app.core.cache import Cache
from space_app.core.computing import Computing
from space_app.core.errors import (
    EmptyInput,
    InputTooLong,
    InvalidRequest,
    InvalidVector,
    Overloaded,
    Stopping,
    TooManyInputs,
)
from space_app.core.observer import Nobody
from space_app.core.pending import Pending, Slice
from space_app.core.scheduler import MAX_WAIT
from space_app.core.types import Phase, Role
from space_app.core.waiting import INTERACTIVE_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from space_app.core.cache import CacheState
    from space_app.core.computing import Soundness
    from space_app.core.manifest import Manifest
    from space_app.core.observer import Observer
    from space_app.core.scheduler import Load, Step
    from space_app.core.types import Embedder, Embeddings, EmbedRequest, Matrix, Token

T = TypeVar("T")

CACHE_BYTES = 16 * 1024 * 1024
_SLICE_TEXTS = 64
_SLICE_CHARACTERS = 100_000
"""What is tokenised in one go: computing begins after the first, and others come between."""

_AT_ONCE_CHARACTERS = 2_000
"""Of one text, which is read on the event loop: half a millisecond, and waking a thread costs more
on few cores, each wake-up at the cost of the computing threads."""

_BYTES_PER_TOKEN = 4
"""Of UTF-8: a Chinese character has three, and is a token more often than not."""

_SPECIAL_TOKENS = 2
_MARK = 1_000
"""Characters of a text by which a request is known that comes back."""

_MAX_QUEUED_CHARACTERS = 64 * 1024 * 1024
"""Of all requests together, so that what waits fits into memory."""

MAX_TOKENISED_CHARACTERS = 500_000
"""In one request for tokens: each may be one, which takes far more than the character."""


@dataclass(frozen=True)
class State:
    """How the service is doing: whether all is warmed up, what waits, what is remembered."""

    warm: bool
    load: Load
    cache: CacheState


class Service:
    """Embeds texts, of all requests together, off the event loop.

    Cancelling the task that awaits `embed` drops what is not computed yet. Texts are tokenised in
    two threads, one of which is for small requests; a single short one at once. A third one is for
    requests for the tokens themselves.
    """

    def __init__(
        self,
        embedder: Embedder,
        manifest: Manifest,
        *,
        max_inputs: int,
        max_wait: float = MAX_WAIT,
        cache_bytes: int = CACHE_BYTES,
        observer: Observer | None = None,
    ):
        self.manifest = manifest
        self._embedder = embedder
        self._max_inputs = max_inputs
        self._observer = observer or Nobody()
        self._cache = Cache(manifest.fingerprint, max_bytes=cache_bytes)
        self._pending: dict[int, Pending] = {}
        self._last = 0
        self._characters = 0
        self._draining = self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._small_reader = ThreadPoolExecutor(1, thread_name_prefix="tokenise")
        self._bulk_reader = ThreadPoolExecutor(1, thread_name_prefix="tokenise-bulk")
        self._token_reader = ThreadPoolExecutor(1, thread_name_prefix="tokenise-uncut")
        self._computing = Computing(
            embedder, max_wait=max_wait, deliver=self._computed, fail=self._failed
        )

    @property
    def stopping(self) -> bool:
        """Whether it will soon end."""
        return self._draining or self._stopping

    @property
    def idle(self) -> bool:
        """Whether no request waits for an answer."""
        return not self._pending

    @property
    def state(self) -> State:
        """How it is doing, at this moment."""
        return State(self._computing.warm, self._computing.load, self._cache.state)

    @property
    def soundness(self) -> Soundness:
        """Whether its vectors have been right."""
        return self._computing.soundness

    def warm_up(self) -> None:
        """Compute a step of each length whenever nobody waits, so that no request is the first."""
        # More words than any model reads: a text of its full length.
        (sample,) = self._embedder.encode(["warm " * self.manifest.max_length])
        self._computing.warm_up(sample)

    def drain(self) -> None:
        """Say that it will soon end; all that comes until then is answered."""
        self._draining = True

    def stop(self) -> None:
        """Refuse new work; what was admitted is still answered."""
        self._stopping = True

    def close(self) -> None:
        """Let the threads finish what they are at and end them; the rest is dropped."""
        self.stop()
        self._computing.close()
        self._small_reader.shutdown(cancel_futures=True)
        self._bulk_reader.shutdown(cancel_futures=True)
        self._token_reader.shutdown(cancel_futures=True)

    async def embed(self, request: EmbedRequest, *, key: str = "") -> Embeddings:
        """Embed the texts, each with its role's instruction before it.

        `key` names whose request it is: keys share the engine equally.

        Raises:
            EmptyInput, TooManyInputs, InvalidRequest: the request cannot be answered.
            InputTooLong: a text would have to be cut, and is not to be.
            InvalidVector: the model has no usable vector of a text.
            Overloaded: it would not be answered in time.
            Stopping: the server takes no new work.
        """
        self._check(request)
        characters = sum(map(len, request.texts))
        expected = self._expected(request.texts, request.role)
        self._admit(request, key, characters, expected)
        self._loop = asyncio.get_running_loop()
        pending = Pending(request, self._loop.create_future())
        self._last = number = self._last + 1
        self._pending[number] = pending
        self._characters += characters
        self._computing.enter(number, key=key, texts=len(request.texts), expected=expected)
        try:
            await self._read(number, pending, expected)
            answer = await pending.answer
        except InvalidVector:
            self._observer.invalid()
            raise
        else:
            self._observer.answered(answer)
            return answer
        finally:
            pending.end()
            self._computing.drop(number)
            self._characters -= characters
            del self._pending[number]

    async def tokenise(
        self,
        texts: tuple[str, ...],
        role: Role | None,
        *,
        special: bool,
        write: Callable[[Iterator[Iterable[Token]]], T],
    ) -> T:
        """What `write` makes of all tokens of each text, the role's instruction before it.

        Nothing is cut. `write` is called in a thread, one request after the other, and gets tokens
        one at a time: half a million of them would be a lot of memory.

        Raises:
            EmptyInput, TooManyInputs, InvalidRequest: the request cannot be answered.
            Overloaded, Stopping: not now.
        """
        self._check_texts(texts)
        characters = sum(map(len, texts))
        if characters > MAX_TOKENISED_CHARACTERS:
            raise InvalidRequest(
                f"The texts have {characters} characters, at most {MAX_TOKENISED_CHARACTERS} are "
                "tokenised in one request: send them in several requests."
            )
        if self._characters + characters > _MAX_QUEUED_CHARACTERS:
            self._observer.overloaded()
            raise Overloaded("The server is busy.", retry_after=1)
        instruction = "" if role is None else self._instruction(role)
        self._characters += characters
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._token_reader,
                lambda: write(
                    self._embedder.tokenise(instruction + text, special=special) for text in texts
                ),
            )
        finally:
            self._characters -= characters

    def _check_texts(self, texts: Sequence[str]) -> None:
        if self._stopping:
            raise Stopping("The server is being stopped: try again in a moment.")
        if len(texts) > self._max_inputs:
            raise TooManyInputs(
                f"{len(texts)} texts in one request, at most {self._max_inputs} are taken: "
                "send them in several requests."
            )
        if not texts:
            raise EmptyInput("The input holds no text.")
        if not all(texts):
            empty = next(index for index, text in enumerate(texts) if not text)
            raise EmptyInput(f"Text {empty} of the input is empty (counted from 0).")

    def _check(self, request: EmbedRequest) -> None:
        self._check_texts(request.texts)
        dimensions, most = request.dimensions, self.manifest.dimensions
        if dimensions is not None and not 1 <= dimensions <= most:
            raise InvalidRequest(
                f"dimensions is {dimensions}, this model has 1 to {most}.", param="dimensions"
            )

    def _admit(self, request: EmbedRequest, key: str, characters: int, expected: int) -> None:
        """Raise Overloaded where too much waits; who finds nobody else is always taken."""
        if self.idle:
            return
        texts = request.texts
        wait = self._computing.refuse(
            key=key,
            mark=hash((len(texts), characters, texts[0][:_MARK], texts[-1][:_MARK])),
            texts=len(texts),
            tokens=expected,
        )
        if wait is None and self._characters + characters > _MAX_QUEUED_CHARACTERS:
            wait = self._computing.load.seconds
        if wait is not None:
            self._observer.overloaded()
            after = max(1, math.ceil(wait))
            raise Overloaded(
                f"The server is busy: send this request again in {after} seconds.",
                retry_after=after,
            )

    async def _read(self, number: int, pending: Pending, expected: int) -> None:
        """Have the texts tokenised, slice by slice, and computed from the first slice on."""
        assert self._loop is not None  # noqa: S101 -- embed sets it
        request = pending.request
        small = len(request.texts) <= INTERACTIVE_TEXTS
        reader = self._small_reader if small else self._bulk_reader
        for part in _slices(request.texts):
            if len(request.texts) == 1 and len(request.texts[0]) <= _AT_ONCE_CHARACTERS:
                self._tokenise(part, request)
            else:
                await self._loop.run_in_executor(reader, self._tokenise, part, request)
            if not request.truncate:
                self._refuse_longer(part)
            texts = pending.take(part)
            if pending.answer.done():
                return
            expected -= self._expected(part.texts, request.role)
            self._computing.add(number, texts, expected=expected)

    def _tokenise(self, part: Slice, request: EmbedRequest) -> None:
        """Look a slice's texts up, and read those that are not known. In any thread."""
        begun = time.perf_counter()
        instruction = self._instruction(request.role)
        texts = [instruction + text for text in part.texts]
        if self._cache:
            part.keys = [self._cache.key(text, request.side) for text in texts]
        # Of what may not be cut the length is wanted, which is not remembered.
        if part.keys and request.truncate and not request.anew:
            part.known = self._cache.find(part.keys)
            known = zip(texts, part.known, strict=True)
            texts = [text for text, found in known if found is None]
        if texts:
            part.encoded = self._embedder.encode(texts, request.side)
        part.reading = Phase("tokenise", begun, time.perf_counter())

    def _refuse_longer(self, part: Slice) -> None:
        """Raise InputTooLong where a text was cut."""
        for index, text in enumerate(part.encoded, part.start):
            if text.truncated:
                raise InputTooLong(
                    f"Text {index} (counted from 0) is too long: {len(text) + text.beyond} tokens "
                    f"of it were looked at, this model takes {self.manifest.max_length}. Shorten "
                    "it, or let it be truncated."
                )

    def _expected(self, texts: tuple[str, ...], role: Role) -> int:
        """A guess of the texts' tokens."""
        longest = self.manifest.max_length
        more = len(self._instruction(role)) // _BYTES_PER_TOKEN + _SPECIAL_TOKENS
        # Of a text of megabytes no more is looked at than can count.
        shown = (text[: longest * _BYTES_PER_TOKEN] for text in texts)
        return sum(min(_bytes(text) // _BYTES_PER_TOKEN + more, longest) for text in shown)

    def _instruction(self, role: Role) -> str:
        if role is Role.QUERY:
            return self.manifest.query_instruction
        return self.manifest.document_instruction

    def _computed(self, step: Step, vectors: Matrix, phase: Phase) -> None:
        """Called by the computing thread."""
        self._on_loop(lambda: self._put(step, vectors, phase))
        self._observer.computed(step, phase.seconds)

    def _failed(self, request: int, error: Exception) -> None:
        """Called by the computing thread."""
        self._on_loop(lambda: self._fail(request, error))

    def _on_loop(self, call: Callable[[], None]) -> None:
        # A loop that is closed has nobody left who waits.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _put(self, step: Step, vectors: Matrix, phase: Phase) -> None:
        rows = sorted((item.request, item.position, row) for row, item in enumerate(step.items))
        for request, found in groupby(rows, key=itemgetter(0)):
            if (pending := self._pending.get(request)) is not None:
                pending.stopwatch.computed(phase)
                known = pending.put((position, vectors[row]) for _, position, row in found)
                self._cache.keep(known)

    def _fail(self, request: int, error: Exception) -> None:
        if (pending := self._pending.get(request)) is not None:
            pending.fail(error)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _slices(texts: tuple[str, ...]) -> Iterator[Slice]:
    """Parts of a request, of a few texts or of one that is very long."""
    start = characters = 0
    for position, text in enumerate(texts):
        full = position - start == _SLICE_TEXTS or characters + len(text) > _SLICE_CHARACTERS
        if full and position > start:
            yield Slice(start, texts[start:position])
            start, characters = position, 0
        characters += len(text)
    if start < len(texts):
        yield Slice(start, texts[start:])
