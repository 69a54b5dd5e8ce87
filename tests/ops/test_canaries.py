from __future__ import annotations

import pytest
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, Fault, embedding_app

from ops.canaries import SAME, Canaries, take
from ops.errors import NotAllowed
from ops.probe import Access


def taken(fault: Fault | None = None, *, weights: str = "") -> Canaries:
    """Those of a server that is broken in one way, or in none."""
    with serving(embedding_app(fault, weights=weights)) as url:
        return take(url, Access(app_key=APP_KEY), "f" * 64)


def test_the_same_server_agrees_with_itself() -> None:
    """Vectors survive being kept as text."""
    kept = Canaries.model_validate_json(taken().model_dump_json())
    assert taken().agreement(kept) > 0.9999


@pytest.mark.parametrize("fault", [Fault.OTHER_INSTRUCTION, Fault.WRONG_DIMENSIONS])
def test_another_model_does_not_agree(fault: Fault) -> None:
    """Another instruction, which queries alone have, and another size are told."""
    assert taken().agreement(taken(fault)) < SAME


def test_other_weights_do_not_agree() -> None:
    """A model that does the same otherwise is another one."""
    assert taken().agreement(taken(weights="others")) < SAME


def test_documents_count_too() -> None:
    """An instruction before documents changes them alone."""
    assert taken().agreement(taken(Fault.INSTRUCTION_ON_DOCUMENTS)) < SAME


def test_a_server_that_refuses_is_told() -> None:
    """Without the key there are no vectors to take."""
    with serving(embedding_app()) as url, pytest.raises(NotAllowed, match="needs an API key"):
        take(url, Access(), "f" * 64)
