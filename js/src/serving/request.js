/** The forms in which a call may give its texts: those of transformers' pipelines. Knows no networks and no tokens. */

import { EdgeBertError } from "../errors.js";

/** @typedef {import("../inputs/tokens.js").Text} Text */
/** @typedef {import("../tasks/task.js").Form} Form */

/**
 * One text or pair: a string, an array of a text and its pair, or an object with `text` and perhaps `text_pair` (or
 * `textPair`), or with `question` and `context`.
 *
 * @typedef {Text | {text: string, text_pair?: string, textPair?: string} | {question: string, context: string}} OneText
 */

/**
 * One text or pair by itself, as a string or an object, or an array (or another iterable) of them. An array is always
 * several texts: a pair by itself is an object.
 *
 * @typedef {string | Exclude<OneText, Text> | Iterable<OneText>} CallTexts
 */

const EXPECTED = "expected a text, an object with text or with question and context, or an array of these";

/**
 * Returns in which form a call gives its texts, and each of them; whether they can be answered is not checked yet.
 *
 * @param {CallTexts} given
 * @returns {{form: Form, texts: Text[]}}
 * @throws {EdgeBertError} it is none of the forms, or an object has other keys
 */
export function readTexts(given) {
  if (typeof given === "string") return { form: "text", texts: [given] };
  if (given === null || typeof given !== "object") {
    throw new EdgeBertError(`${EXPECTED}, found ${given === null ? "null" : typeof given}; pass one of these`);
  }
  if (Symbol.iterator in given) return { form: "several", texts: Array.from(given, textOf) };
  return { form: "object", texts: [textOf(given)] };
}

/** @param {OneText} value @returns {Text} */
function textOf(value) {
  // What is no text is for the tokenizer to refuse.
  if (value === null || typeof value !== "object" || Array.isArray(value)) return /** @type {Text} */ (value);
  const { text, text_pair: one, textPair: other, question, context, ...more } = /** @type {Record<string, any>} */ (value);
  const pair = one ?? other;
  const isQuestion = question !== undefined && context !== undefined && text === undefined && pair === undefined;
  const isText = text !== undefined && question === undefined && context === undefined;
  if (Object.keys(more).length || !(isQuestion || isText)) {
    const found = Object.keys(value).slice(0, 8).join(", ").slice(0, 80) || "no key";
    throw new EdgeBertError(`expected text and perhaps text_pair, or question and context, found ${found}; pass these`);
  }
  if (isQuestion) return [question, context];
  return pair === undefined || pair === null ? text : [text, pair];
}
