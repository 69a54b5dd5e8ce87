"""The request of Open WebUI's `generate_openai_batch_embeddings`, which names no format."""

import requests
from task import KEY, MODEL, PASSAGES, QUERY, URL, found, nearest


def embed(texts: list[str]) -> list[list[float]]:
    """As Open WebUI asks and reads."""
    reply = requests.post(
        f"{URL}/v1/embeddings",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        json={"input": texts, "model": MODEL},
        timeout=30,
    )
    reply.raise_for_status()
    return [item["embedding"] for item in reply.json()["data"]]


query = embed([QUERY])[0]
found(nearest(query, embed(PASSAGES)), query)
