"""Mem0 with Qdrant in a local folder. Its language model is named, and never asked."""

import os
import sys
import tempfile
from pathlib import Path

# Mem0's provider huggingface imports sentence-transformers even to ask a server. It is found where
# the project has it, behind everything of this environment.
sys.path.append(os.environ["SENTENCE_TRANSFORMERS"])

from mem0 import Memory
from task import KEY, MODEL, OPTIONS, PASSAGES, QUERY, URL, failed, found

PROVIDERS = {
    "openai": {"openai_base_url": f"{URL}/v1", "api_key": KEY},
    "huggingface": {"huggingface_base_url": f"{URL}/v1", "api_key": KEY},
}

provider = OPTIONS.pop("provider", "openai")
dimensions = OPTIONS.pop("vector_store.config.embedding_model_dims", None)
memory = Memory.from_config(
    {
        "embedder": {
            "provider": provider,
            "config": {"model": MODEL, **PROVIDERS[provider], **OPTIONS},
        },
        "vector_store": {
            "provider": "qdrant",
            "config": {
                "path": str(Path(tempfile.mkdtemp()) / "qdrant"),
                **({"embedding_model_dims": dimensions} if dimensions else {}),
            },
        },
        "llm": {"provider": "openai", "config": {"api_key": "unused"}},
    }
)
try:
    for passage in PASSAGES:
        memory.add(passage, user_id="ann", infer=False)
except ValueError as error:
    failed(str(error))
else:
    results = memory.search(QUERY, filters={"user_id": "ann"})["results"]
    found(results[0]["memory"], memory.embedding_model.embed(QUERY))
