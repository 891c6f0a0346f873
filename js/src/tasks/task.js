/** What every task answers for, and what they share. Knows neither files nor how graphs are run. */

import { BundleError, EdgeBertError } from "../errors.js";

/** @typedef {import("../inputs/tokens.js").Text} Text */
/** @typedef {import("../inputs/tokens.js").Tokens} Tokens */
/** @typedef {import("../inputs/tokens.js").Tokenizer} Tokenizer */

/**
 * An output of a graph: its numbers, row after row, and its shape, (batch, ...).
 *
 * @typedef {{data: Float32Array, dims: readonly number[]}} Output
 */

/** @typedef {Readonly<Record<string, Output>>} Outputs */

/**
 * How a call gave its texts: one by itself, one as an object, or several.
 *
 * @typedef {"text" | "object" | "several"} Form
 */

/**
 * What a network answers: how texts are read, and how answers are made of what a graph puts out; a frozen value.
 *
 * A text becomes one row of a batch, or several where it is cut into windows. What a network gives for a row becomes a
 * result, the results of a text's rows one result, and that the answer. `outputs` has the dimensions of each output of
 * a graph, in words: the batch, the length, the labels, or another size.
 *
 * @typedef {object} Task
 * @property {string} name
 * @property {readonly string[]} labels
 * @property {Readonly<Record<string, readonly string[]>>} outputs
 * @property {(given?: object) => any} options what a call asks for; an EdgeBertError says what there is not
 * @property {(text: Text, tokenizer: Tokenizer, options: any) => Tokens[]} rows
 * @property {(outputs: Outputs, rows: any[], options: any) => any[]} results
 * @property {(results: any[], options: any) => any} joined the result of a text from those of its rows, in their order
 * @property {(results: any[], options: any) => any[]} answers
 * @property {(answers: any[], form: Form, options: any, networks: readonly string[]) => any} shaped answers in the form
 *   for texts that came so; `networks` are the ids of the sub-networks that gave them
 * @property {(found: Outputs, right: Outputs, tolerance: number) => number} wrongAnswers for how many texts the answer
 *   is wrong, of those where the right one is clear beyond a tolerance
 * @property {(first: unknown, second: unknown) => Float32Array[]} [similarity] how alike answers are: of embeddings
 *   alone
 */

const ADVICE = "export the bundle again";

/**
 * Returns what a call asks for, by the names of a task's options: what is given, and the defaults for what is not.
 *
 * @template {object} T
 * @param {string} task the task's name
 * @param {T} defaults
 * @param {object} given
 * @returns {T}
 * @throws {EdgeBertError} the task has no such option
 */
export function readOptions(task, defaults, given) {
  const known = Object.keys(defaults);
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  const unknown = said.find(([name]) => !known.includes(name));
  if (unknown) throw new EdgeBertError(`${task} has no option ${unknown[0]}; expected one of ${known.join(", ")}`);
  return { ...defaults, ...Object.fromEntries(said) };
}

/**
 * Checks that a graph gave what answers can be made of: all outputs of a task, with finite numbers.
 *
 * @param {Pick<Task, "labels" | "outputs">} task
 * @param {Outputs} outputs
 * @param {readonly [batch: number, length: number]} shape of the graph's inputs
 * @throws {BundleError} an output is missing, not finite, or of another type or shape than the inputs and labels ask
 */
export function checkOutputs(task, outputs, [batch, length]) {
  /** @type {Record<string, number>} */
  const sizes = { batch, length, labels: task.labels.length };
  for (const [name, words] of Object.entries(task.outputs)) {
    const output = outputs[name];
    if (!output) {
      const found = Object.keys(outputs).map((one) => `'${one}'`).join(", ") || "none";
      throw new BundleError(`expected an output ${name}, found ${found}; ${ADVICE}`);
    }
    checkShape(name, output, words.map((word) => [word, sizes[word]]));
    if (!output.data.every(Number.isFinite)) {
      const found = "found infinite ones or some that are no number";
      throw new BundleError(`expected finite ${name}, ${found}; ${ADVICE}, or choose another sub-network or provider`);
    }
  }
}

/** @param {string} name @param {Output} output @param {[word: string, size: number | undefined][]} expected */
function checkShape(name, { data, dims }, expected) {
  const fits = expected.every(([, size], at) => size === undefined || dims[at] === size);
  if (data instanceof Float32Array && dims.length === expected.length && fits) return;
  const wanted = expected.map(([word, size]) => `${size ?? "any"} ${word}`).join(", ");
  const type = Object(data).constructor.name.replace("Array", "").toLowerCase();
  const found = `found ${type} of shape (${dims.join(", ")})`;
  throw new BundleError(`expected ${name} in float32 (${wanted}), ${found}; ${ADVICE}`);
}

/**
 * Returns the numbers of each row of an output, as views of it.
 *
 * @param {Output} output (batch, ...)
 */
export function rowsOf({ data, dims: [batch] }) {
  return inParts(data, data.length / batch);
}

/**
 * Returns numbers in parts of the same size, as views of them.
 *
 * @param {Float32Array} data
 * @param {number} size
 */
export function inParts(data, size) {
  return Array.from({ length: data.length / size }, (_, part) => data.subarray(part * size, (part + 1) * size));
}

/**
 * Returns the probabilities that logits stand for, in float32 as the Python side counts, so that ties are the same.
 *
 * @param {Float32Array} logits
 */
export function softmax(logits) {
  const most = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(Math.fround(logit - most)));
  const sum = weights.reduce((total, weight) => Math.fround(total + weight), 0);
  return weights.map((weight) => weight / sum);
}

/**
 * Returns the place of the largest number, of equal ones the first.
 *
 * @param {Float32Array} numbers
 */
export function largestAt(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

/**
 * Returns whether another number is the largest than the right one, where that leads by more than both may be off.
 *
 * In float32 as the Python side counts, so that both come to the same.
 *
 * @param {Float32Array} found @param {Float32Array} right @param {number} tolerance
 */
export function isOther(found, right, tolerance) {
  const best = largestAt(right);
  if (largestAt(found) === best) return false;
  const second = right.reduce((most, one, place) => (place === best ? most : Math.max(most, one)), -Infinity);
  return Math.fround(right[best] - second) > Math.fround(2 * tolerance);
}
