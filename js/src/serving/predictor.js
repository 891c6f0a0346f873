/** Answers texts with the sub-networks that a budget buys. */

import { EdgeBertError } from "../errors.js";
import { groupsOf } from "../inputs/batches.js";
import { readTexts } from "./request.js";
import { Tally } from "./stats.js";

/** @typedef {import("../choosing/selection.js").Selection} Selection */
/** @typedef {import("../inputs/bundle.js").Bundle} Bundle */
/** @typedef {import("../inputs/tokens.js").Tokenizer} Tokenizer */
/** @typedef {import("../tasks/task.js").Task} Task */
/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./governor.js").Governor} Governor */
/** @typedef {import("./policy.js").Policy} Policy */
/** @typedef {import("./request.js").CallTexts} CallTexts */
/** @typedef {import("./residents.js").Residents} Residents */
/** @typedef {import("./time-limit.js").Groups} Groups */

/**
 * A model: called with texts, it returns their answers, in the order given and in the form of transformers' pipeline
 * of the bundle's task.
 *
 * `latencyMs` is a budget for this call, from its beginning to its end; that of `load` is for each batch, one text by
 * default. What else there is depends on the task, such as `topK` of those that give labels. Requests are answered one
 * after the other.
 *
 * A BudgetError says that no sub-network meets the budget for texts of this length, an EdgeBertError that a text is
 * empty or no text, that the task has no such option, or that the model was disposed of.
 *
 * @callback Call
 * @param {CallTexts} texts
 * @param {{latencyMs?: number | undefined, [option: string]: unknown}} [options]
 * @returns {Promise<any>}
 */

/**
 * @typedef {object} ModelParts
 * @property {Bundle} bundle where the networks are from
 * @property {Selection} selection the choice made at load time, and why the others lost
 * @property {import("../inputs/manifest.js").ExportedSubnet} subnet the sub-network that was chosen at load time
 * @property {(text: import("../inputs/tokens.js").Text) => number} countTokens of a text or a [text, pair]: what `length`
 *   counts
 * @property {() => import("./stats.js").Stats} stats what was answered by what so far, and how slow the device is
 * @property {() => Promise<void>} dispose ends all networks, which gives their memory back
 * @property {(first: unknown, second: unknown) => Float32Array[]} similarity how alike embeddings are to others, by the
 *   function that the checkpoint names: a row for each of the first; for bundles of other tasks an EdgeBertError
 */

/** @typedef {Call & Readonly<ModelParts>} Model */

/** Answers requests one after the other. */
export class Predictor {
  #selection;
  #tokenizer;
  #task;
  #policy;
  #residents;
  #governor;
  #usual;
  #tally = new Tally();
  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {Selection} selection @param {Tokenizer} tokenizer @param {Task} task @param {Policy} policy
   * @param {Residents} residents @param {Governor} governor @param {object} usual options of calls that do not say so
   */
  constructor(selection, tokenizer, task, policy, residents, governor, usual) {
    this.#selection = selection;
    this.#tokenizer = tokenizer;
    this.#task = task;
    this.#policy = policy;
    this.#residents = residents;
    this.#governor = governor;
    this.#usual = usual;
    task.options(usual);
  }

  /** Returns this as what users call. @param {Bundle} bundle @returns {Model} */
  asModel(bundle) {
    /** @type {Call} */
    const call = (texts, options) => this.answer(texts, options);
    return Object.freeze(
      Object.assign(call, {
        bundle,
        selection: this.#selection,
        subnet: bundle.subnet(this.#selection.subnetwork),
        countTokens: (/** @type {import("../inputs/tokens.js").Text} */ text) => this.#tokenizer.encode(text).ids.length,
        stats: () => this.stats(),
        dispose: () => this.#residents.dispose(),
        similarity: (/** @type {unknown} */ first, /** @type {unknown} */ second) => this.similarity(first, second),
      }),
    );
  }

  /** @type {Call} */
  async answer(given, { latencyMs = undefined, ...options } = {}) {
    const startMs = this.#governor.clock();
    this.#residents.check();
    checkLatency(latencyMs);
    const asked = this.#task.options({ ...this.#usual, ...options });
    const { form, texts } = readTexts(given);
    const rows = texts.map((text) => this.#task.rows(text, this.#tokenizer, asked));
    if (!rows.length) return this.#task.shaped([], form, asked, []);

    const groups = groupsOf(rows, this.#selection.budget.batchSize);
    const found = await this.#inTurn(() => this.#run(groups, latencyMs ?? null, asked, startMs));
    let place = 0;
    const ofTexts = rows.map((own) => own.map(() => found[place++]));
    const results = ofTexts.map((own) => this.#task.joined(own.map(({ result }) => result), asked));
    const networks = ofTexts.map(([first]) => first.subnetwork);
    return this.#task.shaped(this.#task.answers(results, asked), form, asked, networks);
  }

  stats() {
    const loaded = this.#residents.loaded().map((one) => ({ way: one.way, name: `${one.id} (${inWords(one.way)})` }));
    const slowDown = loaded.map(({ way }) => [inWords(way), Number(this.#governor.slowDown(way).toFixed(3))]);
    return this.#tally.stats(Object.fromEntries(slowDown), loaded.map(({ name }) => name));
  }

  /** @param {unknown} first @param {unknown} second */
  similarity(first, second) {
    if (this.#task.similarity) return this.#task.similarity(first, second);
    throw new EdgeBertError(`expected a bundle of sentence-embedding, found one of ${this.#task.name}; load another`);
  }

  /** Two at once would slow each other, and no profile knows by how much. @template T @param {() => Promise<T>} work */
  #inTurn(work) {
    const own = this.#turn.then(work);
    this.#turn = own.catch(() => {});
    return own;
  }

  /**
   * Returns for each row, in the order of their places, its result and who answered it; counts the request.
   *
   * @param {Groups} groups @param {number | null} latencyMs @param {object} asked @param {number} startMs
   */
  async #run(groups, latencyMs, asked, startMs) {
    const { chooser, limit } = await this.#policy.chooserFor(groups, latencyMs);
    /** @type {{subnetwork: string, result: any}[]} */
    const found = [];
    const counted = [];
    let [slowestMs, groupStartMs, last] = [0, startMs, 0];
    let beforeMs = startMs; // what the tokenizer took counts as the first batch's
    for (const [number, batch] of groups.flat().entries()) {
      const [group] = limit.parts[number];
      if (group !== last) [groupStartMs, last] = [beforeMs, group];
      const leftMs = limit.leftMs(number, this.#governor.clock() - groupStartMs);
      const { subnetwork, results } = await chooser(batch, leftMs, asked);
      batch.places.forEach((place, row) => (found[place] = { subnetwork, result: results[row] }));

      const endMs = this.#governor.clock();
      counted.push({ subnetwork, texts: batch.places.length, ms: endMs - beforeMs });
      slowestMs = Math.max(slowestMs, endMs - groupStartMs);
      beforeMs = endMs;
    }
    // At the end, in one step: a request that fails on its way is not counted.
    this.#tally.add(counted, limit.isKept(slowestMs));
    return found;
  }
}

/** @param {unknown} latencyMs */
function checkLatency(latencyMs) {
  if (latencyMs === undefined || (typeof latencyMs === "number" && latencyMs > 0)) return;
  throw new EdgeBertError(`expected a latencyMs above 0, found ${latencyMs}; raise it, or leave it out`);
}

/** @param {Way} way */
function inWords({ engine, flavor, threads }) {
  return `${engine}, ${flavor}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}
