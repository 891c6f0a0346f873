/** Who chooses the network for a request, and how long it may take: the choice of load time, or a dispatcher. */

import { select } from "../choosing/selection.js";
import { BudgetError, BundleError } from "../errors.js";
import { Dispatcher, resultsOf } from "./dispatcher.js";
import { TimeLimit } from "./time-limit.js";

/** @typedef {import("../choosing/selection.js").Profile} Profile */
/** @typedef {import("../choosing/selection.js").Selection} Selection */
/** @typedef {import("../inputs/batches.js").Batch} Batch */
/** @typedef {import("../inputs/manifest.js").Manifest} Manifest */
/** @typedef {import("../tasks/task.js").Task} Task */
/** @typedef {import("./dispatcher.js").Answered} Answered */
/** @typedef {import("./governor.js").Governor} Governor */
/** @typedef {import("./residents.js").Residents} Residents */
/** @typedef {import("./time-limit.js").Groups} Groups */

/**
 * Answers a batch, which may take so many milliseconds from now on.
 *
 * @typedef {(batch: Batch, allowedMs: number, options: object) => Promise<Answered>} Chooser
 */

/**
 * Gives each request a chooser and a time limit.
 *
 * Before the first request `loadChosen` or `govern` is called, which load what that needs.
 */
export class Policy {
  #manifest;
  #selection;
  #budget;
  #residents;
  #governor;
  #tasks;
  #profile;
  /** @type {Promise<Dispatcher> | undefined} */
  #dispatcher;
  #isGoverned = false;

  /**
   * `profile` is asked for the profile when the first request needs a choice of its own; without it the choice made at
   * load time stands for every request.
   *
   * @param {Manifest} manifest @param {Selection} selection @param {Residents} residents @param {Governor} governor
   * @param {ReadonlyMap<string, Task>} tasks those of all sub-networks
   * @param {(() => Promise<Profile>) | null} profile
   */
  constructor(manifest, selection, residents, governor, tasks, profile) {
    this.#manifest = manifest;
    this.#selection = selection;
    this.#budget = selection.budget;
    this.#residents = residents;
    this.#governor = governor;
    this.#tasks = tasks;
    this.#profile = profile;
  }

  /** Loads the network that was chosen. */
  async loadChosen() {
    await this.#residents.load(this.#chosen);
  }

  /** Has every request answered by the best network that is on time. */
  async govern() {
    const dispatcher = await this.#madeDispatcher();
    this.#isGoverned = true;
    await this.loadChosen();
    await dispatcher.loadFastest();
    this.#dispatcher = Promise.resolve(dispatcher);
  }

  /**
   * Returns who answers a request's batches, and how long they may take; `latencyMs` is a budget of its own.
   *
   * The budget of load time is for each group: a batch, or those of a text that is cut into windows.
   *
   * @param {Groups} groups @param {number | null} latencyMs
   * @returns {Promise<{chooser: Chooser, limit: TimeLimit}>}
   * @throws {BudgetError} a choice is needed and may not be made, or nothing would keep the budget on a quiet device
   */
  async chooserFor(groups, latencyMs) {
    const { length, latencyMs: usualMs, memoryMb } = this.#budget;
    const longest = Math.max(...groups.flat().map((batch) => batch.length));
    const limit = TimeLimit.of(usualMs ?? Infinity, groups.map((group) => group.map(() => 1)));
    const isTooLong = (usualMs !== null || memoryMb !== null) && length !== null && longest > length;
    const hasWindows = usualMs !== null && groups.some((group) => group.length > 1);
    // What was chosen at load time was chosen for one batch of texts of up to that length.
    if (latencyMs === null && !isTooLong && !hasWindows) {
      if (!this.#isGoverned) return { chooser: this.#answerFixed, limit };
      return { chooser: answerOf(await this.#dispatch()), limit };
    }

    if (!this.#profile) throw fixed(latencyMs, isTooLong ? `${longest} tokens for a budget of ${length}` : null);
    const dispatcher = await this.#dispatch();
    const askedMs = latencyMs ?? usualMs;
    if (askedMs === null) {
      this.#checkPossible(dispatcher, null, longest);
      return { chooser: answerOf(dispatcher), limit };
    }
    const whole = latencyMs === null ? groups : [groups.flat()];
    const fastestMs = whole.map((group) => group.map((batch) => dispatcher.fastestMs(batch)));
    const slowest = fastestMs.reduce((most, one) => (sum(one) > sum(most) ? one : most));
    if (!(sum(slowest) <= askedMs)) this.#refuse(dispatcher, askedMs, slowest.length, longest);
    return { chooser: answerOf(dispatcher), limit: TimeLimit.of(askedMs, fastestMs) };
  }

  get #chosen() {
    const { subnetwork: id, way, peakMemoryMb } = this.#selection;
    return { id, way, peak_memory_mb: peakMemoryMb };
  }

  /** Answers by the network that was chosen, however long it takes. @type {Chooser} */
  #answerFixed = async (batch, _, options) => {
    const { id } = this.#chosen;
    const task = /** @type {Task} */ (this.#tasks.get(id));
    const { results } = await resultsOf(await this.#residents.load(this.#chosen), batch, task, options);
    return { subnetwork: id, results };
  };

  /** Returns the dispatcher, which is made, and its profile found, when it is first needed. */
  #dispatch() {
    // Late, since a profile may have to be measured for it, which takes seconds.
    this.#dispatcher ??= this.#startedDispatcher().catch((problem) => {
      this.#dispatcher = undefined;
      throw problem;
    });
    return this.#dispatcher;
  }

  async #startedDispatcher() {
    const dispatcher = await this.#madeDispatcher();
    // What is loaded answers also where no more can be, such as offline.
    await dispatcher.loadFastest().catch((problem) => {
      if (!(problem instanceof BundleError)) throw problem;
      console.warn(`requests are answered without the fastest network: ${problem.message}`);
    });
    return dispatcher;
  }

  async #madeDispatcher() {
    const profile = await /** @type {() => Promise<Profile>} */ (this.#profile)();
    return new Dispatcher(this.#manifest, profile, this.#selection, this.#residents, this.#governor, this.#tasks);
  }

  /** @param {Dispatcher} dispatcher @param {number} askedMs @param {number} batches @param {number} longest */
  #refuse(dispatcher, askedMs, batches, longest) {
    // The nearest miss is named for the longest batch, as if all had the same part of the time.
    try {
      this.#checkPossible(dispatcher, askedMs / batches, longest);
    } catch (problem) {
      if (!(problem instanceof BudgetError) || batches === 1) throw problem;
      throw new BudgetError(`${batches} batches share ${askedMs} ms: ${problem.message}`, problem.nearest);
    }
  }

  /** @param {Dispatcher} dispatcher @param {number | null} latencyMs @param {number} length */
  #checkPossible(dispatcher, latencyMs, length) {
    select(this.#manifest, dispatcher.profile, { ...this.#budget, latencyMs, length });
  }
}

/** @param {number | null} latencyMs @param {string | null} tooLong */
function fixed(latencyMs, tooLong) {
  const found = latencyMs === null ? (tooLong ?? "a text of many windows") : "a budget for one request";
  return new BudgetError(`found ${found}, but the choice is fixed; load with adaptive: true`, null);
}

/** @param {Dispatcher} dispatcher @returns {Chooser} */
function answerOf(dispatcher) {
  return (batch, allowedMs, options) => dispatcher.answer(batch, allowedMs, options);
}

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
