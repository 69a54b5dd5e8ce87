"""A few texts whose vectors tell whether a version computes what the version before did."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import BaseModel, ConfigDict

from ops.errors import Unhealthy
from ops.http_client import OutOfTime, within
from ops.probe import Probe, cosine
from ops.refusals import led_away, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.probe import Access, Vector

_LIMIT = 120.0
"""Seconds for an answer."""

_UNREADABLE = (
    KeyError, TypeError, ValueError, RecursionError, OverflowError, struct.error,
)  # fmt: skip

SAME = 0.98
"""Cosine from which on vectors count as the same. The same model comes out a little different on
processors of another kind (0.989 at least, docs/architecture.md); another pooling, instruction or
model is further away."""

_TEXTS = (
    "To choose a new password, open the account page.",
    "Photosynthesis turns light, water and air into sugar.",
    "The bakery sells rye bread from six o'clock.",
)

_QUERIES = {"text": _TEXTS, "input_type": "query"}
_DOCUMENTS = {"model": "embed", "input": _TEXTS, "input_type": "document"}


class Canaries(BaseModel):
    """Vectors of one version: of each text as a query, then of each as a document.

    A vector is 16-bit floats, little-endian, in base64.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    vectors: tuple[str, ...]

    def agreement(self, other: Canaries) -> float:
        """The lowest cosine between the two of a text; 0 when they have nothing to compare."""
        if len(self.vectors) != len(other.vectors):
            return 0.0
        pairs = zip(self.vectors, other.vectors, strict=True)
        return min(cosine(_unpacked(mine), _unpacked(theirs)) for mine, theirs in pairs)


def take(url: str, access: Access, fingerprint: str) -> Canaries:
    """Ask a running server for them; raises Unhealthy, or what it said instead."""
    with Probe(url, access) as probe:
        probe.choose_header()
        try:
            queries = _asked(probe, "/embed", _QUERIES)["embeddings"]
            documents = _asked(probe, "/v1/embeddings", _DOCUMENTS)["data"]
            vectors = [*queries, *(entry["embedding"] for entry in documents)]
            packed = tuple(_packed(vector) for vector in vectors)
        except (*_UNREADABLE, httpx2.HTTPError, OutOfTime) as error:
            raise Unhealthy(
                f"{url} does not embed what was embedded before.",
                next_step="ops smoke-test --url says more about it.",
            ) from error
    return Canaries(fingerprint=fingerprint, vectors=packed)


def _asked(probe: Probe, path: str, body: Mapping[str, object]) -> Any:
    reply = within(_LIMIT, lambda: probe.request("POST", path, json=body))
    if not reply.is_success or led_away(reply):
        raise refusal(reply, probe.url, probe.access)
    return reply.json()


def _packed(vector: Vector) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}e", *vector)).decode()


def _unpacked(text: str) -> Vector:
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 2}e", data))
