/** sentence-embedding: a vector for each text, such that texts which say the same lie close together. */

import { BundleError, EdgeBertError } from "../errors.js";
import { checkedText } from "../inputs/tokens.js";
import { cut, Embeddings, similarities } from "./embeddings.js";
import { readOptions, rowsOf } from "./task.js";

/**
 * What a bundle.json says of the vectors: to how many dimensions they may be cut, all of them first, and which prompts
 * are put before texts that are asked for by their names; that of `default_prompt` before all others.
 *
 * @typedef {object} EmbeddingSettings
 * @property {string} space
 * @property {readonly number[]} dims
 * @property {boolean} is_normalized
 * @property {import("./embeddings.js").Similarity} similarity
 * @property {Readonly<Record<string, string>>} prompts
 * @property {string | null} default_prompt
 */

/**
 * To how many dimensions vectors are cut, null for none fewer, and what is put before each text.
 *
 * The prompt is given as it is, or by a name that the bundle knows; else the bundle's default one is.
 *
 * @typedef {{dims: number | null, prompt: string | null, promptName: string | null}} EmbeddingOptions
 */

/** @type {EmbeddingOptions} */
const DEFAULTS = { dims: null, prompt: null, promptName: null };

/** Vectors as sentence-transformers gives them; the result of a text is its vector, (dims). */
export class SentenceEmbedding {
  name = "sentence-embedding";
  /** @type {readonly string[]} */
  labels = [];
  outputs = { embedding: ["batch", "dims"] };

  /** @param {EmbeddingSettings} settings */
  constructor(settings) {
    this.settings = settings;
    Object.freeze(this);
  }

  /** @param {Partial<EmbeddingOptions>} [given] @returns {EmbeddingOptions} */
  options(given = {}) {
    const asked = readOptions(this.name, DEFAULTS, given);
    const { dims, prompts } = this.settings;
    if (asked.dims !== null && !dims.includes(asked.dims)) {
      const expected = `expected dims of ${dims.join(", ")}, which the network was trained for`;
      throw new EdgeBertError(`${expected}, found ${JSON.stringify(asked.dims)}; give one of these`);
    }
    if (asked.promptName !== null && !Object.hasOwn(prompts, asked.promptName)) {
      const expected = `expected a promptName of ${Object.keys(prompts).join(", ") || "none"}`;
      const found = JSON.stringify(asked.promptName);
      throw new EdgeBertError(`${expected}, found ${found}; give one of these, or the prompt itself as prompt`);
    }
    return asked;
  }

  /**
   * Returns the tokens of a text behind its prompt.
   *
   * @param {import("./task.js").Text} text
   * @param {import("./task.js").Tokenizer} tokenizer
   * @param {EmbeddingOptions} options
   */
  rows(text, tokenizer, { prompt, promptName }) {
    const name = promptName ?? this.settings.default_prompt;
    const before = prompt ?? (name === null ? "" : this.settings.prompts[name]);
    // Checked before the prompt: behind it, no text would be empty.
    return [tokenizer.encode(before ? before + checkedText(text)[0] : text)];
  }

  /** @param {import("./task.js").Outputs} outputs @param {unknown} _rows @param {EmbeddingOptions} options */
  results({ embedding }, _rows, options) {
    const [all] = this.settings.dims;
    if (embedding.dims[1] < all) {
      const found = `found ${embedding.dims[1]}`;
      throw new BundleError(`expected an embedding of ${all} dims, ${found}; export the bundle again`);
    }
    return rowsOf(embedding).map((vector) => cut(vector, options.dims ?? all, this.settings.is_normalized));
  }

  /** @param {Float32Array[]} results */
  joined(results) {
    return results[0];
  }

  /** @param {Float32Array[]} results */
  answers(results) {
    return results;
  }

  /**
   * Returns vectors (texts, dims), or the one (dims) of a text by itself, as sentence-transformers does.
   *
   * @param {Float32Array[]} answers
   * @param {import("./task.js").Form} form
   * @param {EmbeddingOptions} options
   * @param {readonly string[]} networks
   */
  shaped(answers, form, options, networks) {
    const dims = options.dims ?? this.settings.dims[0];
    const data = new Float32Array(answers.length * dims);
    answers.forEach((vector, place) => data.set(vector, place * dims));
    return new Embeddings(data, form === "several" ? [answers.length, dims] : [dims], this.settings.space, networks);
  }

  /**
   * Returns how alike some vectors are to others, by the function that the bundle's checkpoint names: a row for each of
   * the first; higher is more.
   *
   * @param {unknown} first an Embeddings, a vector, or a list of vectors
   * @param {unknown} second the same
   * @throws {EdgeBertError} they are of another space, or of different dims
   */
  similarity(first, second) {
    return similarities(this.settings.similarity, first, second, this.settings.space);
  }

  /** Returns 0: a vector is never another answer, only farther off. */
  wrongAnswers() {
    return 0;
  }
}
