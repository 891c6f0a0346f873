/** A network in the thread that calls it: an ONNX Runtime session, of the web's or of Node's. Knows no bundles. */

import { refusal } from "./engine.js";

/** @typedef {import("../inputs/tokenization.js").Int64Array} Int64Array */
/** @typedef {import("../tasks/task.js").Outputs} Outputs */
/** @typedef {Readonly<Record<string, Int64Array>>} Inputs */

/**
 * How often requests are timed: each at least `minRuns` times, and all of them for at least `minSeconds`.
 *
 * A sample of a request is the mean of as many runs as `runsPerSample` has for it. Between runs are `pauseMs`.
 *
 * @typedef {{minRuns: number, minSeconds: number, runsPerSample?: readonly number[], pauseMs?: number}} Timing
 */

/**
 * What a graph puts out, and how long it ran, without the way to where it runs and back.
 *
 * @typedef {{outputs: Outputs, ms: number}} Ran
 */

/**
 * What networks answer, wherever they run.
 *
 * @typedef {object} Network
 * @property {readonly string[]} inputNames the inputs that the graph has
 * @property {(inputs: Inputs) => Promise<Ran>} run
 * @property {(requests: readonly Inputs[], timing: Timing) => Promise<number[][]>} time the samples of each request, in
 *   milliseconds; the requests take turns, as they do in an app
 * @property {() => Promise<number | null>} memoryMb what it takes with its weights, null where that is not shown
 * @property {() => Promise<void>} dispose ends it; it answers no more
 * @property {boolean} isEnded whether it was disposed of, or its Worker died, such as for want of memory
 */

/**
 * What is used of ONNX Runtime, whose packages for the web and for Node are alike.
 *
 * @typedef {object} Runtime
 * @property {{create: (graph: Uint8Array, options: object) => Promise<Session>}} InferenceSession
 * @property {new (type: "int64", data: BigInt64Array, dims: readonly number[]) => unknown} Tensor
 * @property {{versions: Record<string, string | undefined>, wasm?: {numThreads?: number, wasmBinary?: ArrayBuffer}}} env
 */

/**
 * @typedef {object} Session
 * @property {readonly string[]} inputNames
 * @property {(feeds: Record<string, unknown>) => Promise<Record<string, {data: any, dims: readonly number[]}>>} run
 * @property {() => Promise<void>} release
 */

const WARM_UP = 2;

/** A network in this thread. @implements {Network} */
export class SessionNetwork {
  #session;
  #Tensor;
  #memoryMb;
  isEnded = false;

  /** @param {Session} session @param {Runtime} runtime @param {() => number | null} memoryMb */
  constructor(session, { Tensor }, memoryMb) {
    this.#session = session;
    this.#Tensor = Tensor;
    this.#memoryMb = memoryMb;
    this.inputNames = session.inputNames;
  }

  /** @param {Inputs} inputs */
  async run(inputs) {
    const feeds = this.#feeds(inputs);
    const startMs = performance.now();
    const found = await this.#session.run(feeds).catch((problem) => Promise.reject(refusal(problem)));
    const ms = performance.now() - startMs;
    const outputs = Object.entries(found).map(([name, { data, dims }]) => [name, { data, dims }]);
    return { outputs: Object.fromEntries(outputs), ms };
  }

  /** @param {readonly Inputs[]} requests @param {Timing} timing */
  async time(requests, { minRuns, minSeconds, runsPerSample = [], pauseMs = 0 }) {
    const turns = requests.map((request, at) => ({
      feeds: this.#feeds(request),
      runs: runsPerSample[at] ?? 1,
      samplesMs: /** @type {number[]} */ ([]),
    }));
    const inOrder = [...turns];
    for (let round = 0; round < WARM_UP; round++) {
      for (const { feeds } of turns) await this.#session.run(feeds);
    }

    const random = randomNumbers();
    const endMs = performance.now() + minSeconds * 1000;
    while (performance.now() < endMs || inOrder[0].samplesMs.length < minRuns) {
      // In one order, the shortest text would always find the caches as the largest batch has left them.
      shuffle(turns, random);
      for (const { feeds, runs, samplesMs } of turns) {
        const startMs = performance.now();
        for (let run = 0; run < runs; run++) await this.#session.run(feeds);
        // Where the clock did not move at all a sample is still more than nothing.
        samplesMs.push(Math.max(performance.now() - startMs, LEAST_MS) / runs);
        if (pauseMs) await new Promise((done) => setTimeout(done, pauseMs));
      }
    }
    return inOrder.map(({ samplesMs }) => samplesMs);
  }

  async memoryMb() {
    return this.#memoryMb();
  }

  async dispose() {
    this.isEnded = true;
    await this.#session.release();
  }

  /** @param {Inputs} inputs */
  #feeds(inputs) {
    const named = Object.entries(inputs).map(([name, { data, dims }]) => [name, new this.#Tensor("int64", data, dims)]);
    return Object.fromEntries(named);
  }
}

const LEAST_MS = 1e-4;

/** @template T @param {T[]} values @param {() => number} random */
function shuffle(values, random) {
  for (let last = values.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [values[last], values[other]] = [values[other], values[last]];
  }
}

/** Returns numbers of 0 to 1 that are the same each time, so that all networks are asked in one order. */
function randomNumbers() {
  let state = 1;
  // Lehmer's generator, with the factor of Park and Miller (1988).
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}
