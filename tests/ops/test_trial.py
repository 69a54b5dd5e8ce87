from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, DIMENSIONS, Fault, PrivateProxy, embedding_app

from ops.clients import CLIENTS
from ops.connect import Target, tokens
from ops.errors import Exit, Unhealthy
from ops.probe import Access
from ops.trial import require_passed, try_client

if TYPE_CHECKING:
    from fakes.embedding_server import Served

    from ops.smoke_test import CheckResult

ACCESS = Access("hub-token", APP_KEY)


def target(url: str, *, private: bool = False) -> Target:
    """A server with a key."""
    return Target(url, "counted-words-embed", DIMENSIONS, private, keyed=True, asked=True)


def tried(name: str, target: Target, access: Access = ACCESS) -> dict[str, CheckResult]:
    """What came of trying a client, by the check's name."""
    client = CLIENTS[name]
    headers = tokens(client, target).headers(access)
    results = try_client(client, target, headers, on_check=lambda _: None)
    return {result.name: result for result in results}


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_stores_and_finds(server: Served, name: str) -> None:
    """With a sound server each client's own request passes, by nothing but its own headers."""
    results = tried(name, target(server.url))
    assert {result.outcome for result in results.values()} == {"passed"}, results
    assert {"documents", "query", "finds"} <= results.keys()
    assert ("models" in results) is (name == "n8n")


@pytest.mark.parametrize("name", [name for name in CLIENTS if CLIENTS[name].second_header])
def test_two_tokens_reach_two_doors(name: str) -> None:
    """Before a private Space with keys, the proxy and the server each get theirs."""
    with serving(PrivateProxy(embedding_app(), "hub-token", "X-HF-Authorization")) as url:
        results = tried(name, target(url, private=True))
        assert {result.outcome for result in results.values()} == {"passed"}


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Fault.WRONG_DIMENSIONS, "documents", "511 dimensions, /info says 512"),
        (Fault.UNNORMALISED, "documents", "length 2.000"),
        (Fault.ONE_VECTOR_TOO_FEW, "documents", "2 vectors for 3 texts"),
        (Fault.BATCH_IN_WRONG_ORDER, "finds", "does not answer it"),
        (Fault.SAME_FOR_EVERY_TEXT, "finds", "does not answer it"),
        (Fault.EMBEDDINGS_ARE_NULL, "documents", "cannot be read"),
        (Fault.FAILS_ON_A_BATCH, "documents", "status 500: Failed"),
    ],
)
@pytest.mark.parametrize("name", ["openai", "mem0", "python"])
def test_what_a_client_would_meet_is_found(
    server: Served, name: str, fault: Fault, check: str, said: str
) -> None:
    """A reply that the client cannot use fails the check that holds it, which says how."""
    server.switches.fault = fault
    result = tried(name, target(server.url))[check]
    assert result.outcome == "failed"
    assert said in result.detail


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("openai", Fault.BIG_ENDIAN_BASE64, "length"),
        ("openai", Fault.NULL_COMPONENTS, "length nan"),
        ("mem0", Fault.NULL_COMPONENTS, "cannot be read"),
    ],
)
def test_numbers_that_are_none_are_found(
    server: Served, name: str, fault: Fault, said: str
) -> None:
    """Whichever way a client takes its numbers, what is no vector is no vector."""
    server.switches.fault = fault
    assert said in tried(name, target(server.url))["documents"].detail


def test_dimensions_that_were_assumed_wrongly_are_found(server: Served) -> None:
    """A snippet that was printed while the Space slept, with another model's dimensions, fails."""
    result = tried("mem0", replace(target(server.url), dimensions=768))["documents"]
    assert result.detail == "told 768 dimensions, the model has 512"


def test_unknown_dimensions_are_asked_for(server: Served) -> None:
    """A Space that has woken up meanwhile says what nobody knew before."""
    results = tried("mem0", replace(target(server.url), dimensions=None))
    assert {result.outcome for result in results.values()} == {"passed"}


def test_a_wrong_key_is_said_at_once(server: Served) -> None:
    """Headers that do not open the server end the trial with exit code 6, and say what they are."""
    with pytest.raises(Unhealthy, match="does not let curl in") as caught:
        tried("curl", target(server.url), Access(None, "wrong"))
    assert caught.value.exit_code is Exit.UNHEALTHY


def test_one_token_for_two_doors_is_refused() -> None:
    """Open WebUI sends one token: a private Space with keys does not let it in, and it is said."""
    with (
        serving(PrivateProxy(embedding_app(), "hub-token", "Authorization")) as url,
        pytest.raises(Unhealthy, match="does not let openwebui in") as caught,
    ):
        tried("openwebui", target(url, private=True))
    assert "two tokens" in str(caught.value.cause)


def test_a_failure_is_an_error_that_names_it(server: Served) -> None:
    """What failed first is what the error says."""
    server.switches.fault = Fault.UNNORMALISED
    found = target(server.url)
    results = tuple(tried("openai", found).values())
    with pytest.raises(
        Unhealthy, match=r"openai would not work with .*: a vector of length 2\.000"
    ):
        require_passed(CLIENTS["openai"], found, results)
    require_passed(CLIENTS["openai"], found, ())
