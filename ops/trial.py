"""`ops connect --check`: makes a client's requests for real, with the headers of its snippet.

The client's own packages are not needed; what they would send is in `ops.clients`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx2

from ops.checks import CheckFailed
from ops.errors import Unhealthy
from ops.http_client import OutOfTime, within
from ops.probe import REFUSED, Access, Probe, cosine
from ops.refusals import led_away, quoted
from ops.smoke_test import CheckResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.clients import Client, Role
    from ops.connect import Target
    from ops.probe import Vector
    from ops.smoke_test import OnCheck

_WAKE_LIMIT = 60.0
"""Seconds that a sleeping Space has to wake."""

_CHECK_LIMIT = 120.0
"""Seconds for all that one check asks."""

_OFF_UNIT = 1e-3

_ANSWERS = {
    "how do I reset my password?": "To choose a new password, open the account page.",
    "where can I buy bread early in the day?": "The bakery sells rye bread from six o'clock.",
    "how do plants make their food?": "Photosynthesis turns light, water and air into sugar.",
}
"""Questions that any sound model finds the passage for."""


@dataclass(frozen=True)
class _AsPasted(Access):
    """Headers as the snippet has them, wherever the proxy would take them from otherwise."""

    pasted: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers(self, *, in_authorization: bool = False) -> dict[str, str]:  # noqa: ARG002 -- no choice
        return dict(self.pasted)


def try_client(
    client: Client, target: Target, headers: Mapping[str, str], *, on_check: OnCheck
) -> tuple[CheckResult, ...]:
    """Store and find as the client does; raises Unhealthy when the server lets nobody in.

    A check that fails is a result, not an error.
    """
    with Probe(target.url, _AsPasted(pasted=headers)) as probe:
        _enter(probe, client)
        trial = _Trial(client, target, probe, probe.info().dimensions)
        checks = [trial.documents, trial.query, trial.finds]
        results = []
        for check in [trial.models, *checks] if client.picks_model else checks:
            result = _run(check)
            on_check(result)
            results.append(result)
    return tuple(results)


def require_passed(client: Client, target: Target, results: tuple[CheckResult, ...]) -> None:
    """Raise Unhealthy, saying what the client would meet."""
    if failed := [result for result in results if result.outcome == "failed"]:
        raise Unhealthy(
            f"{client.name} would not work with {target.url}: {failed[0].detail}.",
            cause="The server refuses what this client sends, or answers what it cannot use.",
            next_step="ops smoke-test --url says more about the server itself.",
        )


class _Trial:
    """One client and one server; what a check found is kept for those after it."""

    def __init__(self, client: Client, target: Target, probe: Probe, dimensions: int):
        self._client = client
        self._model = target.model
        self._told = target.dimensions or dimensions
        self._dimensions = dimensions
        self._probe = probe
        self._passages: list[Vector] = []

    def models(self) -> str:
        """The server's list has a model that the client shows."""
        reply = self._ok(self._probe.request("GET", "/v1/models"))
        names = [entry["id"] for entry in reply["data"]]
        if not any("embed" in name for name in names):
            raise CheckFailed('no model with "embed" in its name, which is what it lists')
        return f"{sum('embed' in name for name in names)} to choose from"

    def documents(self) -> str:
        """What is stored: a vector for each text, in order, of the right size and length."""
        vectors = self._vectors(list(_ANSWERS.values()), "document")
        self._passages = vectors
        return f"{len(vectors)} vectors of {len(vectors[0])} dimensions"

    def query(self) -> str:
        """What is asked: one vector for a question by itself."""
        self._vectors([next(iter(_ANSWERS))], "query")
        return "1 vector"

    def finds(self) -> str:
        """Each question is nearest to the passage that answers it."""
        if not self._passages:
            raise CheckFailed("no passages to look in")
        for number, question in enumerate(_ANSWERS):
            vector = self._vectors([question], "query")[0]
            scores = [cosine(vector, passage) for passage in self._passages]
            if scores.index(max(scores)) != number:
                raise CheckFailed(f"{question!r} finds a passage that does not answer it")
        return f"{len(_ANSWERS)} of {len(_ANSWERS)} questions find their passage"

    def _vectors(self, texts: list[str], role: Role) -> list[Vector]:
        if self._told != self._dimensions:
            raise CheckFailed(f"told {self._told} dimensions, the model has {self._dimensions}")
        call = self._client.call(texts, role, self._model, self._told)
        reply = self._ok(self._probe.request("POST", call.path, json=call.body))
        vectors = self._client.read(reply)
        if len(vectors) != len(texts):
            raise CheckFailed(f"{len(vectors)} vectors for {len(texts)} texts")
        for vector in vectors:
            if len(vector) != self._dimensions:
                raise CheckFailed(f"{len(vector)} dimensions, /info says {self._dimensions}")
            if not abs(math.hypot(*vector) - 1) <= _OFF_UNIT:
                raise CheckFailed(f"a vector of length {math.hypot(*vector):.3f}, not 1")
        return vectors

    def _ok(self, reply: httpx2.Response) -> Any:
        if reply.status_code != httpx2.codes.OK:
            raise CheckFailed(quoted(reply))
        return reply.json()


def _enter(probe: Probe, client: Client) -> None:
    """Wait until the server is up; raise Unhealthy at once when these headers do not open it."""
    try:
        reply = probe.look("/v1/models", limit=_WAKE_LIMIT)
    except httpx2.RequestError:
        probe.wait_until_healthy(limit=_WAKE_LIMIT)
        return
    if reply.status_code in REFUSED or led_away(reply):
        raise Unhealthy(
            f"{probe.url} does not let {client.name} in with these headers: {quoted(reply)}.",
            cause="A key is wrong, or the server wants two tokens."
            if reply.status_code == httpx2.codes.UNAUTHORIZED
            else "The Hub's proxy does not know the token: a private Space does not exist for it.",
            next_step="Check the tokens that the notes above name, then run it again.",
        )
    if not reply.is_success:
        probe.wait_until_healthy(limit=_WAKE_LIMIT)


def _run(check: Callable[[], str]) -> CheckResult:
    started = time.monotonic()
    outcome: Literal["passed", "failed", "skipped"] = "failed"
    try:
        detail, outcome = within(_CHECK_LIMIT, check), "passed"
    except CheckFailed as failure:
        detail = str(failure)
    except httpx2.HTTPError as error:
        detail = f"no answer ({type(error).__name__})"
    except OutOfTime:
        detail = f"no answer within {_CHECK_LIMIT:.0f} s"
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        # What a client raises, too, when a reply is not what it reads.
        detail = f"the reply cannot be read ({type(error).__name__})"
    return CheckResult(check.__name__, outcome, detail, time.monotonic() - started)
