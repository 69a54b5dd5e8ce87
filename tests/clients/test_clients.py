"""The real packages of users, against the real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from clients import page
from clients.registry import BY_ID, CLIENTS, DIMENSIONS, TASK, Client

if TYPE_CHECKING:
    from clients.conftest import Runs

# The first one may have to install the packages.
pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
each_switch = pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.switch], ids=lambda client: client.id
)


@each_client
def test_it_stores_and_finds(client: Client, runs: Runs) -> None:
    """With its switch set, if it needs one, the passage that answers the question comes first."""
    printed = runs.outcome(client).printed

    assert printed.get("found") == TASK["answer"], printed


@each_client
def test_its_vectors_are_the_servers(client: Client, runs: Runs) -> None:
    """What a client hands to its user is what the server computes of the text, every number of it.

    Base64 that is decoded as something else, another role, or text that was lost from tokens would
    each still find the one passage in four.
    """
    vector = runs.outcome(client).printed["vector"]

    assert vector == pytest.approx(runs.vector_of(TASK["query"]), abs=1e-5)
    assert len(vector) == DIMENSIONS


@pytest.mark.parametrize(
    ("client_id", "options"),
    [
        ("openai-python", {"extra_body": {"input_type": "query"}}),
        ("openai-node", {"model": "anything:query"}),
        ("huggingface-hub", {"prompt_name": "query"}),
    ],
)
def test_a_query_gets_the_instruction(
    client_id: str, options: dict[str, object], runs: Runs
) -> None:
    """A client that can say so has its text taken as a query."""
    done, _ = runs.run(BY_ID[client_id], json.dumps(options))

    vector = json.loads(done.stdout)["vector"]
    assert vector == pytest.approx(runs.vector_of(TASK["query"], "query"), abs=1e-5)
    assert vector != pytest.approx(runs.vector_of(TASK["query"]), abs=1e-2)


@each_switch
def test_it_says_which_switch(client: Client, runs: Runs) -> None:
    """Without the switch nothing is stored, and the user is told what is wrong."""
    printed = runs.outcome(client, switched=False).printed

    assert [word for word in client.told if word not in str(printed.get("told"))] == []


def test_the_key_is_sent_where_the_page_says(runs: Runs) -> None:
    """Every request of every client carries it as a bearer token, and is answered at once."""
    sent = {
        (one.token_headers, one.status) for client in CLIENTS for one in runs.outcome(client).sent
    }

    assert sent == {(("authorization",), 200)}


def test_a_wrong_key_stores_nothing(runs: Runs) -> None:
    """A client that looks at no status, as LlamaIndex's for TEI, cannot take a 401 for vectors."""
    done, sent = runs.run(BY_ID["llamaindex-tei"], "{}", key="wrong")

    assert {one.status for one in sent} == {401}
    assert done.returncode != 0
    assert done.stdout == ""


def test_the_page_says_what_was_seen(runs: Runs, request: pytest.FixtureRequest) -> None:
    """docs/clients.md is the table of this run; --update-clients writes it."""
    seen = page.render(runs)
    if request.config.getoption("--update-clients", default=False):
        page.PAGE.write_text(seen, encoding="utf-8")

    assert page.PAGE.read_text(encoding="utf-8") == seen, (
        "Meant? pytest tests/clients --update-clients"
    )
