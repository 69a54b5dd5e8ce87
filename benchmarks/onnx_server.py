"""ONNX Runtime in fp32 behind this project's HTTP layer: what TEI and fastembed compute on a CPU.

    PORT=… python benchmarks/onnx_server.py GRAPH.onnx TOKENIZER.json

Its scheduler, routes and replies are the server's own; only the engine differs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import uvicorn
from tokenizers import Tokenizer
from workload import INSTRUCTION

from space_app.api.app import create_app
from space_app.api.serving import Server
from space_app.core.manifest import Canary, Manifest
from space_app.core.service import Service
from space_app.core.types import Encoded, Shape, Side
from space_app.cpus import available_cpus
from space_app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Matrix

_MAX_LENGTH = 512
_DIMENSIONS = 768


class OnnxEmbedder:
    """An Embedder over a graph; a step's texts are padded to its longest.

    Shapes cost nothing to be new here, so the lengths of steps only bound how long one takes.
    """

    step_shapes = tuple(Shape(1, width) for width in (32, 64, 128, 256, _MAX_LENGTH))
    step_texts = 16
    arithmetic = "fp32"

    def __init__(self, graph: Path, tokenizer: Path, *, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_LENGTH)

    def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:  # noqa: ARG002
        """As Embedder.encode; the end is what is cut."""
        return [
            Encoded(np.array(found.ids, dtype=np.int64), truncated=bool(found.overflowing))
            for found in self._tokenizer.encode_batch_fast(list(texts))
        ]

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
        """As Embedder.embed."""
        texts = [text for row in step for text in row]
        ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text.tokens
            mask[row, : len(text)] = 1
        return self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def main(graph: Path, tokenizer: Path) -> None:
    """Serve on loopback."""
    threads = available_cpus()
    settings = Settings(
        model_dir=graph.parent, threads=threads, host="127.0.0.1", port=int(os.environ["PORT"])
    )
    embedder = OnnxEmbedder(graph, tokenizer, threads=threads)
    service = Service(embedder, _manifest(), max_inputs=settings.max_inputs)
    config = uvicorn.Config(
        create_app(service, settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
    )
    Server(config, service).run()


def _manifest() -> Manifest:
    return Manifest(
        model="bench",
        revision=None,
        backend="onnxruntime",
        precision="fp32",
        pooling="cls",
        query_instruction=INSTRUCTION,
        document_instruction="",
        dimensions=_DIMENSIONS,
        max_length=_MAX_LENGTH,
        libraries={"onnxruntime": onnxruntime.__version__},
        canaries=(Canary(text="none", vector=(1.0,)),),
        fingerprint="none",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
