from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from rich.live import Live
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ops.redaction import HIDDEN, hide
from ops.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

SECRET = "planted-" + "0123456789abcdef" * 8


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    hide(SECRET)


def _in_a_table(*, overflow: str = "fold") -> Table:
    table = Table(title=f"of {SECRET}", caption=Text(SECRET))
    table.add_column(f"a {SECRET}", overflow=overflow)  # type: ignore[arg-type]
    table.add_column("b")
    table.add_row(Text(f"x {SECRET} y"), f"[bold]{SECRET}[/bold]\x1b[8m")
    return table


def _in_two_styles() -> Text:
    return Text.assemble((SECRET[:20], "red"), (SECRET[20:], "green"), "\x1b[2J")


@pytest.mark.parametrize("width", [10, 40, 79, 300])
@pytest.mark.parametrize(
    "made",
    [
        lambda: SECRET,
        _in_two_styles,
        _in_a_table,
        lambda: _in_a_table(overflow="ellipsis"),
        lambda: _in_a_table(overflow="crop"),
        lambda: Syntax(f"KEY={SECRET}\x9b2J", "bash"),
    ],
)
def test_no_layout_shows_a_secret(
    made: Callable[[], RenderableType],
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Cropped, wrapped, in styles, in a live view; nor does it pass on anybody's sequences."""
    monkeypatch.setenv("COLUMNS", str(width))
    terminal = Terminal()
    terminal.print(made(), soft_wrap=False)
    with Live(made(), console=terminal):
        pass
    shown = capsys.readouterr().out
    assert "2J" not in shown
    assert "[8m" not in shown
    letters = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|[^\x1b\w-]", "", shown)
    assert SECRET[:6] not in letters
    assert "6789abc" not in letters


def test_a_style_stays_where_a_secret_was(capsys: pytest.CaptureFixture[str]) -> None:
    """What is around it looks as before."""
    Terminal().print(Text.assemble(("Error", "red"), f" {SECRET} ", ("end", "green")))
    assert capsys.readouterr().out == f"\x1b[31mError\x1b[0m {HIDDEN} \x1b[32mend\x1b[0m\n"


def test_markup_of_others_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and names of emojis as well, in a text and in a table."""
    table = Table.grid()
    table.add_row("[link=https://evil.example]:warning:[/link]")
    Terminal().print("[bold]:x:[/bold]", table)
    assert capsys.readouterr().out.split() == [
        "[bold]:x:[/bold]",
        "[link=https://evil.example]:warning:[/link]",
    ]
