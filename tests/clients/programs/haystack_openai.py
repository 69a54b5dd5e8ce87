"""Haystack's OpenAI embedders with its own store in memory."""

import os

os.environ["OPENAI_API_KEY"] = os.environ["EMBED_KEY"]

from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from task import MODEL, OPTIONS, PASSAGES, QUERY, URL, found

arguments = {"model": MODEL, "api_base_url": f"{URL}/v1", **OPTIONS}
store = InMemoryDocumentStore()
documents = [Document(content=text) for text in PASSAGES]
embedded = OpenAIDocumentEmbedder(**arguments, progress_bar=False).run(documents)
store.write_documents(embedded["documents"])
query = OpenAITextEmbedder(**arguments).run(QUERY)["embedding"]
best = InMemoryEmbeddingRetriever(store, top_k=1).run(query)["documents"][0]
found(best.content, query)
