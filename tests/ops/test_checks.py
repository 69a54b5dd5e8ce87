from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import APP_KEY, Fault

from ops import checks
from ops.checks import CheckFailed, Skipped
from ops.probe import Access, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fakes.embedding_server import Served

EVERY_EMBEDDING = {
    "embed",
    "embed_list",
    "openai",
    "openai_base64",
    "unit_norm",
    "same_twice",
    "batch",
    "roles",
    "ranking",
}
EVERY_ERROR = {"unknown_route", "bad_json", "empty", "too_many", "wrong_key"}

FAILING = {
    Fault.WRONG_DIMENSIONS: {"embed", "embed_list", "openai", "openai_base64"},
    Fault.UNNORMALISED: {"unit_norm"},
    Fault.INSTRUCTION_ON_DOCUMENTS: {"roles"},
    Fault.NO_INSTRUCTION: {"roles"},
    Fault.OTHER_INSTRUCTION: {"roles"},
    Fault.FAILS_ON_A_BATCH: {
        "embed_list",
        "openai",
        "unit_norm",
        "batch",
        "ranking",
        "truncation",
    },
    Fault.NEIGHBOURS_LEAK: {"batch"},
    Fault.BATCH_IN_WRONG_ORDER: {"batch", "ranking"},
    Fault.NEVER_THE_SAME: {"openai_base64", "same_twice", "batch", "roles"},
    Fault.SAME_FOR_EVERY_TEXT: {"roles", "ranking"},
    Fault.NULL_COMPONENTS: EVERY_EMBEDDING,
    Fault.ONE_VECTOR_TOO_FEW: {"embed_list", "openai", "unit_norm", "batch", "ranking"},
    Fault.EMBEDDINGS_ARE_NULL: EVERY_EMBEDDING,
    Fault.NO_USAGE: {"openai"},
    Fault.COUNTS_NO_TOKENS: {"openai"},
    Fault.NO_BASE64: {"openai_base64"},
    Fault.BIG_ENDIAN_BASE64: {"openai_base64"},
    Fault.FRAMEWORK_ERRORS: EVERY_ERROR,
    Fault.ERRORS_ARE_TEXT: EVERY_ERROR,
    Fault.ERROR_CODES_ARE_NUMBERS: EVERY_ERROR,
    Fault.NOT_SAID_WHEN_CUT: {"truncation"},
    Fault.NO_HEAD: {"page_head"},
    Fault.PAGE_IS_JSON: {"page"},
    Fault.HEALTH_SAYS_OK: {"health"},
    Fault.HEALTH_IS_A_LIST: {"health"},
    Fault.STILL_LOADING: {"health"},
    Fault.NO_SIZE_LIMIT: {"too_large"},
    Fault.NO_COUNT_LIMIT: {"too_many"},
    Fault.ANY_KEY: {"wrong_key"},
    Fault.TAKES_EMPTY_TEXT: {"empty"},
    Fault.BAD_JSON_IS_500: {"bad_json"},
    Fault.UNKNOWN_ROUTE_IS_200: {"unknown_route"},
}


@pytest.fixture(name="probe")
def _probe(server: Served) -> Iterator[Probe]:
    with Probe(server.url, Access(app_key=APP_KEY)) as probe:
        yield probe


def failures(probe: Probe) -> dict[str, str]:
    """What every check found wrong, by its name."""
    info = probe.info()
    found = {}
    for check in checks.ALL:
        try:
            check(probe, info)
        except CheckFailed as failure:
            found[check.__name__] = str(failure)
    return found


def test_sound_server_passes(probe: Probe) -> None:
    """Nothing is found wrong with a server that keeps the contract."""
    assert failures(probe) == {}


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_fault_is_found(server: Served, probe: Probe, fault: Fault) -> None:
    """Each way of being broken fails the checks that are about it, and no other."""
    server.switches.fault = fault
    found = failures(probe)
    assert found.keys() == FAILING[fault], found


def test_every_check_can_fail() -> None:
    """No check of the table passes whatever the server does."""
    assert set().union(*FAILING.values()) == {check.__name__ for check in checks.ALL}


def test_failure_says_what_was_found(server: Served, probe: Probe) -> None:
    """A failed check names what came and what should have come."""
    server.switches.fault = Fault.WRONG_DIMENSIONS
    with pytest.raises(CheckFailed, match=r"^511 dimensions, /info says 512$"):
        checks.embed(probe, probe.info())
    server.switches.fault = Fault.FAILS_ON_A_BATCH
    with pytest.raises(CheckFailed, match=r"^status 500, not 200: Failed$"):
        checks.batch(probe, probe.info())


def test_model_without_instructions(server: Served, probe: Probe) -> None:
    """Where there is no instruction, query and document are one and the same vector."""
    server.switches.query_instruction = ""
    assert failures(probe) == {}


def test_model_with_an_instruction_for_documents(server: Served, probe: Probe) -> None:
    """A model that has an instruction for documents too passes."""
    server.switches.document_instruction = "passage: "
    assert failures(probe) == {}


def test_no_keys_no_wrong_key(server: Served, probe: Probe) -> None:
    """Where no keys are set the check of a wrong one is skipped, not passed."""
    server.switches.keys_required = False
    with pytest.raises(Skipped, match="no keys are set"):
        checks.wrong_key(probe, probe.info())


def test_latency_request_needs_an_answer(server: Served, probe: Probe) -> None:
    """A query that is not answered is no latency."""
    checks.latency_request(probe)
    server.switches.fault = Fault.EMBEDDINGS_ARE_NULL
    with pytest.raises(CheckFailed):
        checks.latency_request(probe)
