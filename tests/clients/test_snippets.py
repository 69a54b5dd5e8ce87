"""What `ops connect` prints and sends, beside what the real packages do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clients.conftest import KEY
from clients.recorder import fields
from clients.registry import BY_ID, DIMENSIONS

from ops.clients import CLIENTS
from ops.connect import Target, connect

if TYPE_CHECKING:
    from pathlib import Path

    from clients.conftest import Runs
    from clients.recorder import Recorder

# The first one may have to install the packages.
pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

TOKENS = {"EMBED_API_KEY": KEY, "HF_TOKEN": "hf_of_nobody"}
SENT_BY = {
    "haystack": "haystack",
    "langchain": "langchain",
    "llamaindex": "llamaindex",
    "mem0": "mem0-dimensions",
    "n8n": "langchain-node",
    "openai": "openai-python",
    "openwebui": "open-webui",
}
"""The name that `ops connect` has for a client, and the one whose requests were recorded."""

QDRANT = """\
                "host": "localhost",
                "port": 6333,
"""


def target(recorder: Recorder, *, private: bool) -> Target:
    """The server, as one that has a key; maybe behind a private Space's proxy, too."""
    return Target(recorder.url, "any-embed", DIMENSIONS, private=private, keyed=True, asked=True)


@pytest.mark.parametrize("private", [False, True], ids=["open-space", "private-space"])
@pytest.mark.parametrize(
    "name", ["curl", "haystack", "langchain", "llamaindex", "openai", "python"]
)
def test_what_is_pasted_runs(name: str, private: bool, runs: Runs, tmp_path: Path) -> None:  # noqa: FBT001
    """As printed, it embeds two passages and a query, and every request carries every token."""
    with runs.recording() as recorder:
        [file] = connect(CLIENTS[name], target(recorder, private=private)).files
        pasted = tmp_path / file.name
        pasted.write_text(file.content, encoding="utf-8")
        command = ["bash" if name == "curl" else runs.python, pasted]
        done = runs.execute(command, TOKENS)

    assert done.returncode == 0, done.stderr
    assert name == "curl" or done.stdout.split() == ["2", str(DIMENSIONS)]
    headers = ("authorization", "x-hf-authorization") if private else ("authorization",)
    assert [(sent.status, sent.token_headers) for sent in recorder.sent] == [(200, headers)] * 2


@pytest.mark.parametrize("private", [False, True], ids=["open-space", "private-space"])
def test_memory_py_runs(private: bool, runs: Runs, tmp_path: Path) -> None:  # noqa: FBT001
    """Mem0 takes the configuration, remembers and finds; only Qdrant is in a folder instead."""
    with runs.recording() as recorder:
        files = connect(CLIENTS["mem0"], target(recorder, private=private)).files
        [memory] = [file.content for file in files if file.name == "memory.py"]
        assert QDRANT in memory
        pasted = tmp_path / "memory.py"
        pasted.write_text(
            "import os, sys\n"
            "sys.path.append(os.environ['SENTENCE_TRANSFORMERS'])\n"
            + memory.replace(QDRANT, f'"path": "{tmp_path / "qdrant"}",\n')
            + "memory.add('The bakery opens at six.', user_id='ann', infer=False)\n"
            "print(memory.search('bakery', filters={'user_id': 'ann'})['results'][0]['memory'])\n",
            encoding="utf-8",
        )
        done = runs.execute([runs.python, pasted], TOKENS | {"OPENAI_API_KEY": "unused"})

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "The bakery opens at six."
    headers = ("authorization", "x-hf-authorization") if private else ("authorization",)
    assert {(sent.status, sent.token_headers) for sent in recorder.sent} == {(200, headers)}


@pytest.mark.parametrize("name", SENT_BY)
def test_what_is_checked_is_what_is_sent(name: str, runs: Runs) -> None:
    """`ops connect --check` makes the requests that the package was seen to make."""
    call = CLIENTS[name].call(["a passage"], "document", "any-embed", DIMENSIONS)
    stored = next(sent for sent in runs.outcome(BY_ID[SENT_BY[name]]).sent if sent.method == "POST")

    assert call.path == stored.path
    # Open WebUI sends a field of its user's choice besides: that is in the snippet.
    assert {key: value for key, value in fields(call.body).items() if key != "input_type"} == (
        stored.fields
    )
