// What every program of this folder is asked to do: task.py says more.

import { readFileSync } from "node:fs";

const task = JSON.parse(readFileSync(new URL("task.json", import.meta.url), "utf-8"));
export const { passages, query } = task;
export const {
  EMBED_URL: url,
  EMBED_KEY: key,
  EMBED_MODEL: model,
} = process.env;
export const options = JSON.parse(process.env.OPTIONS);

export function nearest(wanted, vectors) {
  const scores = vectors.map((vector) => vector.reduce((sum, x, i) => sum + x * wanted[i], 0));
  return passages[scores.indexOf(Math.max(...scores))];
}

export function found(passage, vector) {
  console.log(JSON.stringify({ found: passage, vector }));
}
