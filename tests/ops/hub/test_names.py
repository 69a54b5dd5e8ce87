from __future__ import annotations

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from ops.hub.errors import HubError
from ops.hub.names import checked_repository_name, split_id

GOOD = ["a", "A-b_c.d", "123", "x" * 96]
BAD = [
    *("", ".", "..", "-a", "a-", ".a", "a.", "a--b", "a..b", "a.git", "a b", "ä", "x" * 97),
    *("a/b", "a\0b", "a\n", "%2e%2e", "a\\b"),
]


@pytest.mark.parametrize("name", GOOD + BAD)
def test_names_are_those_of_the_client(name: str) -> None:
    """What the client takes for a name is one, and nothing else is."""
    try:
        validate_repo_id(f"me/{name}")
        fits = True
    except HFValidationError:
        fits = False
    if fits:
        assert checked_repository_name(name) == name
    else:
        with pytest.raises(HubError) as caught:
            checked_repository_name(name)
        assert caught.value.status == 400
    assert fits == (name in GOOD)


@pytest.mark.parametrize("repo_id", [None, 5, "", "name", "/name", "owner/", "a/b/c", "../x"])
def test_an_id_has_an_owner_and_a_name(repo_id: object) -> None:
    """Anything else is refused."""
    assert split_id("me/app") == ("me", "app")
    with pytest.raises(HubError):
        split_id(repo_id)
