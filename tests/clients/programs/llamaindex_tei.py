"""LlamaIndex's TextEmbeddingsInference with its own index."""

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from task import KEY, MODEL, OPTIONS, PASSAGES, QUERY, URL, found

embedding = TextEmbeddingsInference(model_name=MODEL, base_url=URL, auth_token=KEY, **OPTIONS)
index = VectorStoreIndex([TextNode(text=text) for text in PASSAGES], embed_model=embedding)
best = index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0]
found(best.get_content(), embedding.get_query_embedding(QUERY))
