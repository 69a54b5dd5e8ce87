"""The one object that routes call: admits a request, computes it off the event loop, answers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from space_app.core.errors import EmptyInput, InvalidRequest, Stopping, TooManyInputs
from space_app.core.steps import steps
from space_app.core.types import Embeddings, Role

if TYPE_CHECKING:
    from space_app.core.manifest import Manifest
    from space_app.core.types import Embedder, EmbedRequest, Matrix


class Service:
    """Embeds texts, one step of one request at a time, in a thread of its own.

    Requests wait for that thread in the order of their steps, so a small one goes between two
    steps of a big one. Cancelling the task that awaits `embed` drops its steps that are left.
    """

    def __init__(self, embedder: Embedder, manifest: Manifest, *, max_inputs: int):
        self.manifest = manifest
        self._embedder = embedder
        self._max_inputs = max_inputs
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute")
        self._in_flight = 0
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether new work is refused."""
        return self._stopping

    @property
    def idle(self) -> bool:
        """Whether no request waits for an answer."""
        return self._in_flight == 0

    def stop(self) -> None:
        """Refuse new work; what was admitted is still answered."""
        self._stopping = True

    def close(self) -> None:
        """Let the thread finish its step and end it; the rest is dropped."""
        self.stop()
        self._worker.shutdown(cancel_futures=True)

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Embed the texts, each with its role's instruction before it.

        Raises:
            EmptyInput, TooManyInputs, InvalidRequest: the request cannot be answered.
            Stopping: the server takes no new work.
        """
        self._admit(request)
        self._in_flight += 1
        try:
            return await self._compute(request)
        finally:
            self._in_flight -= 1

    def _admit(self, request: EmbedRequest) -> None:
        if self._stopping:
            raise Stopping("The server is being stopped: try again in a moment.")
        if len(request.texts) > self._max_inputs:
            raise TooManyInputs(
                f"{len(request.texts)} texts in one request, at most {self._max_inputs} are taken: "
                "send them in several requests."
            )
        if not request.texts or not all(request.texts):
            raise EmptyInput("The input is empty, or one of its texts is.")
        dimensions, most = request.dimensions, self.manifest.dimensions
        if dimensions is not None and not 1 <= dimensions <= most:
            raise InvalidRequest(
                f"dimensions is {dimensions}, this model has 1 to {most}.", param="dimensions"
            )

    async def _compute(self, request: EmbedRequest) -> Embeddings:
        instruction = self._instruction(request.role)
        texts = [instruction + text for text in request.texts]
        order: list[int] = []
        parts: list[Embeddings] = []
        loop = asyncio.get_running_loop()
        for positions in steps([len(text) for text in texts]):
            step = [texts[position] for position in positions]
            parts.append(await loop.run_in_executor(self._worker, self._embedder.embed, step))
            order.extend(positions)
        return _in_order(parts, order, request.dimensions)

    def _instruction(self, role: Role) -> str:
        if role is Role.QUERY:
            return self.manifest.query_instruction
        return self.manifest.document_instruction


def _in_order(parts: list[Embeddings], order: list[int], dimensions: int | None) -> Embeddings:
    """The parts of an answer as one, in the order of the request."""
    back = np.argsort(order)
    vectors = np.concatenate([part.vectors for part in parts])[back]
    tokens = [count for part in parts for count in part.tokens]
    truncated = [cut for part in parts for cut in part.truncated]
    return Embeddings(
        vectors=_shortened(vectors, dimensions),
        tokens=tuple(tokens[i] for i in back),
        truncated=tuple(truncated[i] for i in back),
    )


def _shortened(vectors: Matrix, dimensions: int | None) -> Matrix:
    """The first components, brought to length 1 again."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.maximum(lengths, np.finfo(np.float32).tiny))
