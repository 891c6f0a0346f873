/** token-classification: a label for each token of a text, such as the names of people and places in it. */

import { EdgeBertError } from "../errors.js";
import { entitiesOf, entityAnswer, STRATEGIES, withoutOverlaps } from "./entities.js";
import { inParts, isOther, readOptions, rowsOf, softmax } from "./task.js";
import { located, windows } from "./windows.js";

/** @typedef {import("./entities.js").Entity} Entity */
/** @typedef {import("./entities.js").EntityAnswer} EntityAnswer */
/** @typedef {import("../inputs/tokens.js").LocatedTokens} LocatedTokens */

/**
 * How tokens become entities.
 *
 * Labels of `ignoreLabels` are left out of answers. With a `stride` a long text is not cut but answered in windows, of
 * which each begins with so many tokens of the one before.
 *
 * @typedef {object} EntityOptions
 * @property {import("./entities.js").Strategy} aggregationStrategy
 * @property {readonly string[]} ignoreLabels
 * @property {number | null} stride
 */

/** @type {EntityOptions} */
const DEFAULTS = { aggregationStrategy: "none", ignoreLabels: ["O"], stride: null };

/** Labels of tokens; the result of a row or a text is its entities. */
export class TokenClassification {
  name = "token-classification";
  outputs = { logits: ["batch", "length", "labels"] };

  /** @param {readonly string[]} labels */
  constructor(labels) {
    this.labels = labels;
    Object.freeze(this);
  }

  /** @param {Partial<EntityOptions>} [given] @returns {EntityOptions} */
  options(given = {}) {
    const asked = readOptions(this.name, DEFAULTS, given);
    checkOptions(asked);
    return asked;
  }

  /**
   * Returns a text's tokens: cut at what a row holds, or with a stride all, in windows.
   *
   * @param {import("./task.js").Text} text
   * @param {import("./task.js").Tokenizer} tokenizer
   * @param {EntityOptions} options
   */
  rows(text, tokenizer, { stride }) {
    if (typeof text !== "string") {
      throw new EdgeBertError(`expected a text by itself for ${this.name}, found two; pass one string`);
    }
    if (stride === null) return [located(text, tokenizer)];
    if (stride >= tokenizer.maxLength) {
      const expected = `expected a stride below the ${tokenizer.maxLength} tokens of a window`;
      throw new EdgeBertError(`${expected}, found ${stride}; pass a smaller one`);
    }
    return windows(text, tokenizer, stride);
  }

  /** @param {import("./task.js").Outputs} outputs @param {LocatedTokens[]} rows @param {EntityOptions} options */
  results({ logits }, rows, options) {
    return rowsOf(logits).map((numbers, row) => this.#entities(numbers, rows[row], options));
  }

  /** @param {Float32Array} logits @param {LocatedTokens} row @param {EntityOptions} options */
  #entities(logits, row, options) {
    const ofTokens = inParts(logits, this.labels.length);
    const tokens = row.offsets.flatMap((span, place) => (span ? [{ place, scores: softmax(ofTokens[place]) }] : []));
    return entitiesOf(row, tokens, this.labels, options);
  }

  /** @param {Entity[][]} results */
  joined(results) {
    return results.length === 1 ? results[0] : withoutOverlaps(results.flat());
  }

  /** @param {Entity[][]} results */
  answers(results) {
    return results.map((entities) => entities.map(entityAnswer));
  }

  /** @param {EntityAnswer[][]} answers @param {import("./task.js").Form} form */
  shaped(answers, form) {
    return form === "several" ? answers : answers[0];
  }

  /** @type {import("./task.js").Task["wrongAnswers"]} */
  wrongAnswers(found, right, tolerance) {
    const [rows, rightRows] = [found, right].map(({ logits }) => {
      return rowsOf(logits).map((row) => inParts(row, logits.dims[2]));
    });
    const isWrong = (/** @type {Float32Array[]} */ tokens, /** @type {number} */ text) =>
      tokens.some((token, place) => isOther(rows[text][place], token, tolerance));
    return rightRows.filter(isWrong).length;
  }
}

/** @param {EntityOptions} options */
function checkOptions({ aggregationStrategy, ignoreLabels, stride }) {
  if (!STRATEGIES.includes(aggregationStrategy)) {
    const expected = `expected an aggregationStrategy of ${STRATEGIES.join(", ")}`;
    throw new EdgeBertError(`${expected}, found ${JSON.stringify(aggregationStrategy)}; choose one of these`);
  }
  if (!Array.isArray(ignoreLabels) || ignoreLabels.some((label) => typeof label !== "string")) {
    const found = JSON.stringify(ignoreLabels);
    throw new EdgeBertError(`expected a list of labels as ignoreLabels, found ${found}; pass a list of names`);
  }
  if (stride === null) return;
  if (!Number.isInteger(stride) || stride < 0) {
    const found = JSON.stringify(stride);
    throw new EdgeBertError(`expected a stride of 0 tokens or more, found ${found}; pass a whole number`);
  }
  if (aggregationStrategy === "none") {
    const advice = `choose one of ${STRATEGIES.slice(1).join(", ")}`;
    throw new EdgeBertError(`expected an aggregationStrategy beside a stride, found "none"; ${advice}`);
  }
}
