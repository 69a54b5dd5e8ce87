"""A request and its answer, as metrics, log and traces are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from space_app.core.types import Embeddings


@dataclass(frozen=True, slots=True)
class Exchange:
    """What may be told: nothing of a body, a query, a key, or a path that is no route's."""

    request_id: str
    method: str
    """`other` for one that HTTP does not know."""
    route: str
    """The route's path; `other` where there is none."""
    status: int
    key: str
    """The key's name; empty where none was needed, or none was right."""
    begun: float
    """By `time.perf_counter`, as all moments of the server."""
    ended: float
    error: str = ""
    """The code of the error that was answered."""
    embeddings: Embeddings | None = None

    @property
    def seconds(self) -> float:
        """From the request's head to the reply's end."""
        return self.ended - self.begun

    def work(self) -> Mapping[str, int]:
        """How much was embedded; nothing where nothing was."""
        if (done := self.embeddings) is None:
            return {}
        return {
            "texts": len(done.tokens),
            "tokens": sum(done.tokens),
            "truncated": sum(done.truncated),
        }
