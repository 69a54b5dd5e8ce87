"""OpenAI's Python library."""

import openai
from task import KEY, MODEL, OPTIONS, PASSAGES, QUERY, URL, found, nearest

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
stored = client.embeddings.create(model=MODEL, input=PASSAGES, **OPTIONS).data
query = client.embeddings.create(model=MODEL, input=QUERY, **OPTIONS).data[0].embedding
found(nearest(query, [item.embedding for item in stored]), query)
