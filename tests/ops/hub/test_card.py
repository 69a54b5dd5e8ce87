from __future__ import annotations

import pytest

from ops.hub.card import read_card


def test_what_the_front_matter_decides() -> None:
    """Port, SDK, title and the time limit of a start are read, the rest is kept."""
    card = read_card(
        "---\ntitle: A\nsdk: docker\napp_port: 8000\nstartup_duration_timeout: 2m\nx: 1\n---\nText"
    )
    assert (card.sdk, card.app_port, card.start_limit, card.title) == ("docker", 8000, 120.0, "A")
    assert card.data["x"] == 1
    assert card.errors == ()


@pytest.mark.parametrize(
    ("readme", "named"),
    [
        ("no front matter", "Missing configuration"),
        ("---\nsdk: [docker\n---\n", "cannot be parsed at line"),
        ("---\n- a\n---\n", "must be a mapping"),
        ("---\ntitle: A\n---\n", '"sdk"'),
        ("---\nsdk: flask\n---\n", '"sdk"'),
        ("---\nsdk: docker\ncolorFrom: teal\n---\n", '"colorFrom"'),
        ("---\nsdk: docker\napp_port: web\n---\n", '"app_port"'),
        ("---\nsdk: docker\napp_port: true\n---\n", '"app_port"'),
        ("---\nsdk: docker\ntags: one\n---\n", '"tags"'),
        ("---\nsdk: docker\nstartup_duration_timeout: soon\n---\n", '"startup_duration_timeout"'),
    ],
)
def test_each_mistake_is_named(readme: str, named: str) -> None:
    """Front matter that the Hub would refuse gives an error with the key."""
    errors = read_card(readme).errors
    assert len(errors) == 1
    assert named in errors[0]
