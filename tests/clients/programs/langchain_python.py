"""LangChain's OpenAIEmbeddings with its own store in memory."""

import openai
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings
from task import KEY, MODEL, OPTIONS, PASSAGES, QUERY, URL, failed, found

embeddings = OpenAIEmbeddings(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, **OPTIONS)
store = InMemoryVectorStore(embeddings)
try:
    store.add_texts(PASSAGES)
except openai.BadRequestError as error:
    failed(error.body["message"])
else:
    found(store.similarity_search(QUERY, k=1)[0].page_content, embeddings.embed_query(QUERY))
