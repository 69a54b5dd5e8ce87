// OpenAIEmbeddings of LangChain.js, with the model that n8n's list would offer: n8n builds this
// object, and lists those models whose id contains "embed".

import { OpenAIEmbeddings } from "@langchain/openai";
import OpenAI from "openai";
import { found, key, nearest, options, passages, query, url } from "./task.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const { data } = await client.models.list();
const [offered] = data.filter((entry) => entry.id.includes("embed"));
const embeddings = new OpenAIEmbeddings({
  model: offered.id,
  apiKey: key,
  configuration: { baseURL: `${url}/v1` },
  ...options,
});
const stored = await embeddings.embedDocuments(passages);
const vector = await embeddings.embedQuery(query);
found(nearest(vector, stored), vector);
