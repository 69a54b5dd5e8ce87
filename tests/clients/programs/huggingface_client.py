"""InferenceClient of huggingface_hub, given the server's URL as its model."""

from huggingface_hub import InferenceClient
from task import KEY, OPTIONS, PASSAGES, QUERY, URL, found, nearest

client = InferenceClient(model=URL, token=KEY)
stored = client.feature_extraction(PASSAGES, **OPTIONS)
query = client.feature_extraction(QUERY, **OPTIONS)
found(nearest(query[0].tolist(), stored.tolist()), query[0].tolist())
