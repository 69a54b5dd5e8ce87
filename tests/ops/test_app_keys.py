from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.app_keys import first_key
from ops.config import API_KEYS
from ops.errors import ConfigError
from ops.redaction import redacted
from space_app.core.errors import SettingsError
from space_app.settings import from_environment

if TYPE_CHECKING:
    from pathlib import Path

GOOD = ["only-key", "mem0=first-key,other=second", " mem0 = first-key \n\nbare", ",a=first-key\n"]
BAD = ["", " ,\n", "mem0=", "mem0=clé", "two words", "a=b=c", "a=one,a=two", "a\x07=b", "x,key 1=b"]


@pytest.mark.parametrize("text", GOOD)
def test_the_first_key_is_the_servers_first(text: str, tmp_path: Path) -> None:
    """What is taken here is what the server starts with."""
    served = from_environment({API_KEYS: text, "EMBED_MODEL_DIR": str(tmp_path)})
    assert first_key({API_KEYS: text}) == served.api_keys[0].key


@pytest.mark.parametrize("text", BAD)
def test_what_the_server_refuses_is_refused(text: str, tmp_path: Path) -> None:
    """By the same rule, which is told."""
    with pytest.raises(SettingsError, match=API_KEYS):
        from_environment({API_KEYS: text, "EMBED_MODEL_DIR": str(tmp_path)})
    with pytest.raises(ConfigError, match=API_KEYS) as caught:
        first_key({API_KEYS: text})
    assert caught.value.cause


def test_an_app_without_keys_has_none() -> None:
    """The secret is not there: nothing is asked for."""
    assert first_key({"OTHER": "two words"}) is None


def test_keys_are_printed_nowhere_from_then_on() -> None:
    """Each of them is hidden, wrong ones among them."""
    with pytest.raises(ConfigError):
        first_key({API_KEYS: "a=a-very-long-key,b=another long key"})
    assert redacted("a-very-long-key and another long key") == "[hidden] and [hidden]"
