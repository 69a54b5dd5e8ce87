"""What the load process is told, and what it reports: one JSON object each way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What is measured."""

    LATENCY = "latency"  # one client, short queries
    THROUGHPUT = "throughput"  # many clients, mixed lengths
    LENGTHS = "lengths"  # one client, uniformly random lengths, the same sequence twice
    OVERHEAD = "overhead"  # one client, JSON floats; what the server says it computed is noted
    BULK = "bulk"  # one client with large requests; queries and /health beside them if asked


class Dialect(StrEnum):
    """How a server is asked for one vector."""

    GUIDE = "guide"  # POST /embed {"text": …}; it puts the instruction before the text itself
    OPENAI = "openai"  # POST /embeddings {"input": …}; the client has to


@dataclass(frozen=True)
class Job:
    """One measurement. What a kind does not use is left alone."""

    kind: Kind
    port: int
    tokenizer: str
    seed: int
    dialect: Dialect = Dialect.GUIDE
    seconds: float = 0
    warm_up: float = 0
    clients: int = 1
    requests: int = 0
    texts: int = 0  # in each request of BULK and OVERHEAD
    pause: float = 0  # mean seconds between two queries beside the bulk; 0: none are sent

    def as_json(self) -> str:
        """For the load process's standard input."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """What `as_json` wrote."""
        content = json.loads(text)
        kind, dialect = Kind(content.pop("kind")), Dialect(content.pop("dialect"))
        return cls(kind=kind, dialect=dialect, **content)


@dataclass
class Outcome:
    """What was seen. Times are seconds a request, in the order of their ends."""

    times: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)  # LENGTHS: the second pass
    compute: list[float] = field(default_factory=list)  # OVERHEAD: of each request, in seconds
    health: list[float] = field(default_factory=list)  # BULK: of /health
    tokens: int = 0
    seconds: float = 0
    refused: int = 0  # 429 replies, after which the request was sent again
    client_cpu: float = 0  # of one core, that the load process itself used

    def as_json(self) -> str:
        """For the load process's standard output."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """What `as_json` wrote."""
        return cls(**json.loads(text))
