/** What the tasks share whose networks give one number for each label of a text: its answers are labels with scores. */

import { EdgeBertError } from "../errors.js";
import { readOptions, rowsOf } from "./task.js";

/** @typedef {import("./task.js").Text} Text */
/** @typedef {import("./task.js").Tokenizer} Tokenizer */

/**
 * How many labels each text gets, the best first: the best one by itself, a list of so many, or with null of all.
 *
 * @typedef {{topK: number | "best" | null}} LabelOptions
 */

/** @typedef {{label: string, score: number}} LabelScore */

/** @typedef {LabelScore | LabelScore[]} LabelAnswer */

/** @typedef {(found: Float32Array, right: Float32Array, tolerance: number) => boolean} IsWrong */

/** @type {LabelOptions} */
const DEFAULTS = { topK: "best" };

/** A score for each label; the result of a text is its scores, (labels). */
export class LabelTask {
  outputs = { logits: ["batch", "labels"] };

  /**
   * @param {string} name
   * @param {readonly string[]} labels
   * @param {(logits: Float32Array) => Float32Array} scoresOf the scores of a text, (labels), from its logits
   * @param {IsWrong} isWrong whether the logits of a text, (labels), mean another answer than the right ones
   */
  constructor(name, labels, scoresOf, isWrong) {
    this.name = name;
    this.labels = labels;
    this.scoresOf = scoresOf;
    this.isWrong = isWrong;
    Object.freeze(this);
  }

  /** @param {Partial<LabelOptions>} [given] @returns {LabelOptions} */
  options(given = {}) {
    const asked = readOptions(this.name, DEFAULTS, given);
    const { topK } = asked;
    if (!(Number.isInteger(topK) && Number(topK) > 0) && topK !== "best" && topK !== null) {
      const found = JSON.stringify(topK);
      throw new EdgeBertError(`expected a topK of 1 or more, or null for all, found ${found}; pass these`);
    }
    return asked;
  }

  /** @param {Text} text @param {Tokenizer} tokenizer */
  rows(text, tokenizer) {
    return [tokenizer.encode(text)];
  }

  /** @param {import("./task.js").Outputs} outputs */
  results(outputs) {
    return rowsOf(outputs.logits).map(this.scoresOf);
  }

  /** @param {Float32Array[]} results */
  joined(results) {
    return results[0];
  }

  /** @param {Float32Array[]} results @param {LabelOptions} options @returns {LabelAnswer[]} */
  answers(results, { topK }) {
    if (topK === "best") return results.map((scores) => this.#best(scores, 1)[0]);
    return results.map((scores) => this.#best(scores, topK ?? scores.length));
  }

  /** @param {Float32Array} scores @param {number} count @returns {LabelScore[]} */
  #best(scores, count) {
    const order = [...scores.keys()].sort((one, other) => scores[other] - scores[one]);
    return order.slice(0, count).map((place) => ({ label: this.labels[place], score: scores[place] }));
  }

  /**
   * Returns answers as transformers' pipeline does: a list with one for each text.
   *
   * For an object by itself it is the bare answer; for a single text the list of its best answers, if `topK` was given,
   * and else a list of one.
   *
   * @param {LabelAnswer[]} answers
   * @param {import("./task.js").Form} form
   * @param {LabelOptions} options
   */
  shaped(answers, form, { topK }) {
    return form === "object" || (form === "text" && topK !== "best") ? answers[0] : answers;
  }

  /** @type {import("./task.js").Task["wrongAnswers"]} */
  wrongAnswers(found, right, tolerance) {
    const rows = rowsOf(found.logits);
    return rowsOf(right.logits).filter((row, text) => this.isWrong(rows[text], row, tolerance)).length;
  }
}

/**
 * Returns the sigmoid of each logit, in float32 as the Python side counts, so that ties are the same.
 *
 * @param {Float32Array} logits
 */
export function sigmoid(logits) {
  return logits.map((logit) => 1 / Math.fround(1 + Math.fround(Math.exp(-logit))));
}
