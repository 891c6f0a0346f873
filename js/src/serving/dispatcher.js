/** Answers each batch with the best loaded network that is on time as the device is now. */

import { Menu } from "../choosing/menu.js";
import { pad } from "../inputs/tokenization.js";
import { checkOutputs } from "../tasks/task.js";
import { keyOf } from "../way.js";

/** @typedef {import("../choosing/menu.js").Option} Option */
/** @typedef {import("../choosing/selection.js").Entry} Entry */
/** @typedef {import("../choosing/selection.js").Profile} Profile */
/** @typedef {import("../choosing/selection.js").Selection} Selection */
/** @typedef {import("../engines/session-network.js").Network} Network */
/** @typedef {import("../inputs/batches.js").Batch} Batch */
/** @typedef {import("../inputs/manifest.js").Manifest} Manifest */
/** @typedef {import("../tasks/task.js").Task} Task */
/** @typedef {import("./governor.js").Governor} Governor */
/** @typedef {import("./residents.js").Residents} Residents */

/** @typedef {{subnetwork: string, results: any[]}} Answered who answered a batch, and the results of its rows */

// Of the share of late requests that the percentile allows, as the Python side's benchmarks found them.
const STAY = 0.75;
const STEP_UP = 0.4;

/** Chooses and runs networks by a profile; one batch at a time. */
export class Dispatcher {
  #menu;
  #budget;
  #tasks;
  #residents;
  #governor;
  #lateShare;
  #maxLength;
  #lastQuality = 0;

  /**
   * Chooses beside the network of a selection; nothing is loaded yet.
   *
   * @param {Manifest} manifest @param {Profile} profile @param {Selection} selection @param {Residents} residents
   * @param {Governor} governor @param {ReadonlyMap<string, Task>} tasks those of all sub-networks
   */
  constructor(manifest, profile, selection, residents, governor, tasks) {
    this.profile = withoutIdlePools(profile, selection);
    this.#menu = new Menu(manifest, this.profile, selection.budget);
    this.#budget = selection.budget;
    this.#maxLength = manifest.max_length;
    this.#tasks = tasks;
    this.#residents = residents;
    this.#governor = governor;
    // How many requests the percentile allows to be late, of 1.
    this.#lateShare = 1 - this.#budget.percentile / 100;
  }

  /** Loads what is chosen when nothing else is on time, the fastest network that there is room for. */
  async loadFastest() {
    const usual = this.#menu.options(1, this.#budget.length ?? this.#maxLength);
    const able = usual.filter(({ entry }) => this.#residents.fits(entry));
    if (able.length) await this.#residents.load(fastestOf(able).entry);
  }

  /** Returns what a batch should take at most on a quiet device; infinite if nothing can be promised. @param {Batch} batch */
  fastestMs({ tokens, length }) {
    return Math.min(Infinity, ...this.#menu.options(tokens.length, length).map(({ boundMs }) => boundMs));
  }

  /**
   * Returns who answered a batch that may take `allowedMs` from now on, and the results.
   *
   * @param {Batch} batch @param {number} allowedMs @param {object} options @returns {Promise<Answered>}
   */
  async answer(batch, allowedMs, options) {
    const startMs = this.#governor.clock();
    // A network alone may fill the budget of a profile: what lies around it would come on top.
    const all = this.#menu.options(batch.tokens.length, batch.length);
    const option = this.#choose(all, allowedMs - this.#governor.overheadMs);
    this.#lastQuality = option.quality;

    const { entry, expectedMs } = option;
    const task = /** @type {Task} */ (this.#tasks.get(entry.id));
    const { results, ms } = await resultsOf(await this.#residents.load(entry), batch, task, options, entry.pad_to);
    this.#governor.observe(entry.way, expectedMs, ms);
    this.#governor.observeOverhead(this.#governor.clock() - startMs - ms);
    return { subnetwork: entry.id, results };
  }

  /**
   * Returns the best of the loaded networks, and has a better one loaded that would be on time.
   *
   * @param {readonly Option[]} options the best first @param {number} allowedMs
   */
  #choose(options, allowedMs) {
    /** @type {Option[]} */
    const onTime = [];
    let isWanted = false;
    for (const option of options) {
      // What follows is neither better nor, beyond the tolerance, as good.
      if (onTime.length && option.quality < onTime[0].quality - this.#budget.tolerance - 1e-9) break;
      if (!this.#isOnTime(option, allowedMs)) continue;
      if (this.#residents.isLoaded(option.entry)) onTime.push(option);
      else if (!onTime.length && !isWanted && this.#residents.fits(option.entry)) {
        this.#residents.want(option.entry);
        isWanted = true;
      }
    }
    if (onTime.length) return fastestOf(onTime);

    // Nothing will surely be on time: the least late, and the fastest of those.
    const loaded = options.filter(({ entry }) => this.#residents.isLoaded(entry));
    const late = (loaded.length ? loaded : options).map((option) => ({ option, share: this.#shareLate(option, allowedMs) }));
    const least = Math.min(...late.map(({ share }) => share));
    return fastestOf(late.filter(({ share }) => share === least).map(({ option }) => option));
  }

  /** @param {Option} option @param {number} allowedMs */
  #isOnTime(option, allowedMs) {
    if (option.boundMs > allowedMs) return false;
    // Less than is allowed, since the next disturbance is not known yet; and up again only when it is clear that it
    // will be on time, else choices would flicker.
    const isStepUp = option.quality > this.#lastQuality;
    return this.#shareLate(option, allowedMs) <= this.#lateShare * (isStepUp ? STEP_UP : STAY);
  }

  /** @param {Option} option @param {number} allowedMs */
  #shareLate({ entry, expectedMs }, allowedMs) {
    return this.#governor.shareLate(entry.way, expectedMs, allowedMs);
  }
}

/**
 * Returns the results of the rows of a batch, and how long the network ran; a BundleError for outputs that answers
 * cannot be made of.
 *
 * @param {Network} network @param {Batch} batch @param {Task} task @param {object} options
 * @param {readonly number[]} [padTo]
 * @returns {Promise<{results: any[], ms: number}>}
 */
export async function resultsOf(network, { tokens }, task, options, padTo = []) {
  const inputs = pad(tokens, network.inputNames, padTo);
  const { outputs, ms } = await network.run(inputs);
  checkOutputs(task, outputs, inputs.input_ids.dims);
  return { results: task.results(outputs, [...tokens], options), ms };
}

/** @param {readonly Option[]} options */
function fastestOf(options) {
  return options.reduce((best, one) => (one.boundMs < best.boundMs ? one : best));
}

/**
 * Returns a profile without the networks that would bring more pools of threads, if there are any without a pool: the
 * threads of idle networks would slow the active one.
 *
 * @param {Profile} profile @param {Selection} chosen @returns {Profile}
 */
function withoutIdlePools(profile, { subnetwork, way }) {
  const { subnetworks } = profile;
  if (subnetworks.every((entry) => entry.way.threads > 1)) return profile;
  const isChosen = (/** @type {Entry} */ { id, way: own }) => id === subnetwork && keyOf(own) === keyOf(way);
  return { ...profile, subnetworks: subnetworks.filter((entry) => entry.way.threads === 1 || isChosen(entry)) };
}
