from __future__ import annotations

import tracemalloc

import pytest

from ops.hub.card import check_card, read_card


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
        ("---\nsdk: [docker]\n---\n", '"sdk"'),
        ("---\nsdk: docker\ncolorTo: {}\n---\n", '"colorTo"'),
        ("---\nsdk: docker\nheader: big\n---\n", '"header"'),
        ("---\nsdk: docker\npinned: yes please\n---\n", '"pinned"'),
        ("---\nsdk: docker\nbase_path: x\n---\n", '"base_path"'),
        (f"---\nsdk: docker\nshort_description: {'x' * 61}\n---\n", '"short_description"'),
        ("---\nsdk: docker\nx: &a [*a]\n---\n", "JSON"),
        ("---\nsdk: docker\nx: .nan\n---\n", "JSON"),
        ("---\nsdk: docker\n? 2026-01-01\n: x\n---\n", "JSON"),
        (f"---\nsdk: docker\nx: {'[' * 2000}\n---\n", "nested"),
        ("---\nsdk: docker\nx: 2026-02-30\n---\n", "none of its type"),
        ("---\nsdk: docker\nx: !!bool maybe\n---\n", "none of its type"),
        ("---\nsdk: docker\nx: !!timestamp soon\n---\n", "none of its type"),
        (f"---\nsdk: docker\nx: {'9' * 5000}\n---\n", "none of its type"),
        ('---\nsdk: docker\nx: "\\ud800"\n---\n', "JSON"),
        (f"---\nsdk: docker\nstartup_duration_timeout: {'9' * 400}h\n---\n", '"startup_duration_'),
    ],
)
def test_each_mistake_is_named(readme: str, named: str) -> None:
    """Front matter that the Hub would refuse gives an error with the key."""
    errors = read_card(readme).errors
    assert len(errors) == 1
    assert named in errors[0]


def bomb(first: str, again: str) -> str:
    """Front matter of seven anchors, each of which has the one before ten times."""
    lines = [f"a0: &a0 {first}"] + [
        f"a{level}: &a{level} {again.format(', '.join([f'*a{level - 1}'] * 10))}"
        for level in range(1, 8)
    ]
    return "\n".join(["---", "sdk: docker", *lines, "---", ""])


@pytest.mark.parametrize(
    "readme",
    [
        bomb("lol", "[{}]"),
        bomb("{lol: 1}", "{{<<: [{}]}}"),
        f"---\nsdk: docker\nx: &x {'y' * 20_000}\nz: [{'*x, ' * 2000}]\n---\n",
    ],
    ids=["lists", "merges", "a long text"],
)
def test_aliases_cannot_make_much_of_little(readme: str) -> None:
    """A few lines that stand for a hundred megabytes are refused before these are made."""
    tracemalloc.start()
    try:
        errors = read_card(readme).errors
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert errors == ("The YAML metadata repeats itself too often by aliases",)
    assert most < 10_000_000


def test_aliases_are_read() -> None:
    """Those of a sane card are what they stand for."""
    card = read_card("---\nsdk: docker\nx: &x [a, b]\ny: *x\nz: {<<: &z {k: *x}, l: 1}\n---\n")
    assert card.errors == ()
    assert card.data["y"] == ["a", "b"]
    assert card.data["z"] == {"k": ["a", "b"], "l": 1}


def test_what_is_read_can_be_shown() -> None:
    """YAML's dates are texts in a reply."""
    assert read_card("---\nsdk: docker\nday: 2026-01-02\n---\n").data["day"] == "2026-01-02"


def test_other_repositories_need_no_card() -> None:
    """A missing one is a warning there; one that cannot be read is a mistake; no SDK is asked."""
    assert check_card("text", space=False) == ((), ("empty or missing yaml metadata in repo card",))
    assert check_card("---\ntags: [a]\n---\n", space=False) == ((), ())
    for readme, named in (("---\ntags: a\n---\n", '"tags"'), ("---\na: [\n---\n", "parsed")):
        errors, warnings = check_card(readme, space=False)
        assert named in errors[0]
        assert warnings == ()
    assert '"sdk"' in check_card("---\ntags: [a]\n---\n", space=True)[0][0]
