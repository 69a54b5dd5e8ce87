"""The app of the guide that this project replaces, as it stands there, but for the model's place.

    MODEL=FOLDER uvicorn --app-dir benchmarks original_app:app

It encodes inside an async handler, so one request at a time, and nothing else meanwhile.
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

app = FastAPI()
model = SentenceTransformer(os.environ["MODEL"])


class EmbedRequest(BaseModel):
    """The body of POST /embed."""

    text: str


@app.post("/embed")
async def embed_text(request: EmbedRequest):
    """Apply BGE-specific query wrapping, and embed."""
    processed_text = f"Represent this sentence for searching relevant passages: {request.text}"
    embedding = model.encode(processed_text).tolist()
    return {"embedding": embedding}


@app.get("/health")
async def health_check():
    """Answer."""
    return {"status": "healthy"}
