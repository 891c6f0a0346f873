/** Talks to `edgebert profile --browser`: what is asked for, what was done before, what was measured. */

import { EdgeBertError } from "../errors.js";
import { keyOf } from "../way.js";

/** @typedef {import("../measuring/rounds.js").Journal} Journal */
/** @typedef {import("../measuring/rounds.js").TrialRecord} TrialRecord */
/** @typedef {import("../way.js").Way} Way */

/**
 * What the page is asked to measure; null leaves it to the profiler.
 *
 * @typedef {object} Asked
 * @property {string} bundle
 * @property {string} bundle_sha256
 * @property {boolean} quick
 * @property {number[] | null} lengths
 * @property {number[] | null} batch_sizes
 * @property {number | null} threads
 * @property {string[] | null} subnets
 */

/**
 * Hears how long it is until the computer is asked again that did not answer, and null when it has answered.
 *
 * @callback OnTrouble
 * @param {number | null} seconds
 * @returns {void}
 */

/** The computer refuses what the page posts, since another page took over. */
export class OtherPageError extends EdgeBertError {}

/** The computer has not answered for minutes. */
export class ServerGoneError extends EdgeBertError {}

/** A network could not be measured, perhaps since the connection was lost. */
export class ConnectionLostError extends EdgeBertError {}

const ANSWER_WITHIN_MS = 30_000;
// About two minutes in all: a restarted router needs as much.
const WAITS_S = [1, 2, 4, 8, 15, 30, 30, 30];

/** The server that this page came from. */
export class Server {
  #onTrouble;
  #waitsS;
  #who = "";

  /** @param {OnTrouble} onTrouble */
  constructor(onTrouble, waitsS = WAITS_S) {
    this.#onTrouble = onTrouble;
    this.#waitsS = waitsS;
  }

  /** @returns {Promise<Asked>} */
  async asked() {
    return (await this.#answer("settings")).json();
  }

  /**
   * Returns the trials that this device has made before; from now on it is measured in this page alone.
   *
   * @param {string} fingerprint @param {string} page
   * @returns {Promise<TrialRecord[]>}
   */
  async begin(fingerprint, page) {
    this.#who = `?device=${fingerprint}&page=${page}`;
    return (await this.#answer(`records${this.#who}`)).json();
  }

  /** @param {{device: object, done: number, total: number, trial: TrialRecord}} posted */
  async add({ trial, ...posted }) {
    // The other side tells the two kinds apart by their type.
    const type = "reason" in trial.result ? "Failure" : "Measurement";
    await this.#post("records", { ...posted, trial: { ...trial, result: { ...trial.result, type } } });
  }

  /** Throws a ConnectionLostError if the computer does not answer at this moment. */
  async check() {
    try {
      await fetch("settings", { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    } catch {
      throw new ConnectionLostError("the connection to the computer was lost; load the page again");
    }
  }

  /** Posts the finished profile. @param {object} profile */
  async finish(profile) {
    await this.#post("profile", profile);
  }

  /** Tells why the page goes no further, if anybody hears it. @param {string} reason */
  async tell(reason) {
    try {
      await fetch(`problems${this.#who}`, posting({ reason: reason.slice(0, 400) }));
    } catch {
      // Then nobody does.
    }
  }

  /** @param {string} name @param {object} content */
  async #post(name, content) {
    const response = await this.#answer(`${name}${this.#who}`, posting(content));
    // To its end: the browser would break off what nobody reads.
    await response.text();
  }

  /** @param {string} address @param {RequestInit} options */
  async #answer(address, options = {}) {
    for (const waitS of [...this.#waitsS, null]) {
      try {
        const response = await fetch(address, { ...options, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
        this.#onTrouble(null);
        if (response.ok) return response;
        const reason = (await response.text()).trim().slice(0, 500);
        if (response.status === 409) throw new OtherPageError(reason);
        throw new EdgeBertError(`the computer refused ${address.split("?")[0]}: ${reason}`);
      } catch (problem) {
        if (problem instanceof EdgeBertError) throw problem;
        if (waitS === null) break;
        this.#onTrouble(waitS);
        await new Promise((resolve) => setTimeout(resolve, waitS * 1000));
      }
    }
    const cure = "run the same command there again, and open the new address: what was measured is kept for an hour";
    throw new ServerGoneError(`the computer that showed this address does not answer any more; ${cure}`);
  }
}

/** @param {object} content @returns {RequestInit} */
function posting(content) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content) };
}

/**
 * Keeps trials on the other computer, so that a page that is loaded again goes on.
 *
 * @implements {Journal}
 */
export class PageJournal {
  /** @type {Map<string, TrialRecord>} */
  #known;
  #add;
  #onNext;

  /**
   * @param {TrialRecord[]} records those made before @param {(record: TrialRecord) => Promise<void>} add
   * @param {(round: number, subnet: string, way: Way) => void} onNext hears what is measured next
   */
  constructor(records, add, onNext) {
    this.#known = new Map(records.map((one) => [nameOf(one.round, one.subnet, one.way), one]));
    this.#add = add;
    this.#onNext = onNext;
  }

  /** @param {number} round @param {string} subnet @param {Way} way */
  find(round, subnet, way) {
    const known = this.#known.get(nameOf(round, subnet, way));
    if (!known) this.#onNext(round, subnet, way);
    return known;
  }

  /** @param {TrialRecord} record */
  async add(record) {
    await this.#add(record);
    this.#known.set(nameOf(record.round, record.subnet, record.way), record);
  }
}

/** @param {number} round @param {string} subnet @param {Way} way */
function nameOf(round, subnet, way) {
  return JSON.stringify([round, subnet, keyOf(way)]);
}
