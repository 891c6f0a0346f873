/** The tokenizer.json of the built-in bundle, as it is and changed as tests/token_vectors.py changes it. */

import { readFileSync } from "node:fs";

/** @param {string} name of a file of the built-in bundle */
export function builtin(name) {
  return readFileSync(new URL(`../../../edgebert/builtin/${name}`, import.meta.url), "utf8");
}

/**
 * Returns the text of that tokenizer.json with keys of its parts changed, and with more added tokens.
 *
 * @param {any} changes
 */
export function changed({ added_tokens: more = [], post_processor: processor, ...parts }) {
  const file = JSON.parse(builtin("tokenizer.json"));
  for (const [part, keys] of Object.entries(parts)) Object.assign(file[part], keys);
  if (processor) file.post_processor = processor;
  const known = file.model.vocab;
  let next = Object.keys(known).length;
  for (const token of more) file.added_tokens.push({ id: known[token.content] ?? next++, ...token });
  return JSON.stringify(file);
}
