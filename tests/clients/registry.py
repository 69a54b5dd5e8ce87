"""The clients that are tried, as the table of docs/clients.md lists them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clients.environments import NPM_LISTS, PROGRAMS, REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

TASK: dict[str, str] = json.loads((PROGRAMS / "task.json").read_text(encoding="utf-8"))
"""What they are asked to do."""
DIMENSIONS = 384
"""Of the model that is served to them."""


@dataclass(frozen=True)
class Client:
    """A client, its program, and what it is told beside URL, key and model."""

    id: str
    name: str
    packages: tuple[str, ...]
    program: str
    options: Mapping[str, object] = field(default_factory=dict)
    switch: Mapping[str, object] = field(default_factory=dict)
    """What its user has to set; empty where defaults do."""
    told: tuple[str, ...] = ()
    """Words of the message that a user gets who has not set it."""
    cl100k: bool = False
    """Whether the server has OpenAI's vocabulary."""

    @property
    def is_node(self) -> bool:
        """Whether its program is for Node."""
        return self.program.endswith(".mjs")

    @property
    def versions(self) -> str:
        """Its packages with their versions."""
        known = _npm_versions() if self.is_node else _python_versions()
        return ", ".join(f"{name} {known[name]}" for name in self.packages)


def _python_versions() -> dict[str, str]:
    return dict(re.findall(r"(?m)^([^#=\s]+)==(\S+)$", REQUIREMENTS.read_text(encoding="utf-8")))


def _npm_versions() -> dict[str, str]:
    package = json.loads(NPM_LISTS[0].read_text(encoding="utf-8"))
    return dict(package["dependencies"])


_QDRANT = ("mem0ai", "qdrant-client")
_MEM0_SWITCH = {"vector_store.config.embedding_model_dims": DIMENSIONS}
_MEM0_TOLD = ("1536", str(DIMENSIONS))

CLIENTS = (
    Client("openai-python", "OpenAI for Python", ("openai",), "openai_python.py"),
    Client("openai-node", "OpenAI for JavaScript", ("openai",), "openai_node.mjs"),
    Client(
        "mem0",
        "Mem0, provider `openai`",
        _QDRANT,
        "mem0_qdrant.py",
        switch=_MEM0_SWITCH,
        told=_MEM0_TOLD,
    ),
    Client(
        "mem0-dimensions",
        "Mem0, provider `openai`, `embedding_dims` set too",
        _QDRANT,
        "mem0_qdrant.py",
        options={"embedding_dims": DIMENSIONS},
        switch=_MEM0_SWITCH,
        told=_MEM0_TOLD,
    ),
    Client(
        "mem0-huggingface",
        "Mem0, provider `huggingface`",
        _QDRANT,
        "mem0_qdrant.py",
        options={"provider": "huggingface"},
        switch=_MEM0_SWITCH,
        told=_MEM0_TOLD,
    ),
    Client(
        "langchain",
        "LangChain for Python, `OpenAIEmbeddings`",
        ("langchain-openai",),
        "langchain_python.py",
        switch={"check_embedding_ctx_length": False},
        told=("check_embedding_ctx_length=False",),
    ),
    Client(
        "langchain-cl100k",
        "LangChain for Python, where the image has `cl100k`",
        ("langchain-openai",),
        "langchain_python.py",
        cl100k=True,
    ),
    Client(
        "langchain-node",
        "LangChain.js, `OpenAIEmbeddings`, as n8n uses it",
        ("@langchain/openai",),
        "langchain_node.mjs",
    ),
    Client(
        "llamaindex",
        "LlamaIndex, `OpenAIEmbedding`",
        ("llama-index-embeddings-openai",),
        "llamaindex_openai.py",
    ),
    Client(
        "llamaindex-tei",
        "LlamaIndex, `TextEmbeddingsInference`",
        ("llama-index-embeddings-text-embeddings-inference",),
        "llamaindex_tei.py",
    ),
    Client(
        "huggingface-hub",
        "`InferenceClient.feature_extraction`",
        ("huggingface_hub",),
        "huggingface_client.py",
    ),
    Client("haystack", "Haystack, `OpenAI…Embedder`", ("haystack-ai",), "haystack_openai.py"),
    Client("open-webui", "Open WebUI (its request)", (), "open_webui.py"),
)

BY_ID = {client.id: client for client in CLIENTS}
