// OpenAI's npm package.

import OpenAI from "openai";
import { found, key, model, nearest, options, passages, query, url } from "./task.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const stored = await client.embeddings.create({ model, input: passages, ...options });
const wanted = await client.embeddings.create({ model, input: query, ...options });
const vector = wanted.data[0].embedding;
found(nearest(vector, stored.data.map((item) => item.embedding)), vector);
