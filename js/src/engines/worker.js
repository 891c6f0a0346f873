/**
 * A Worker with one network, so that all of its memory comes back when the Worker ends.
 *
 * It is told `{id, call, args}`, `open` first, and answers `{id, result}` or `{id, problem}`.
 */

import { takeCompiled } from "./compiled.js";
import { refusal } from "./engine.js";
import { openWithWeb } from "./web-runtime.js";

/** @typedef {import("./session-network.js").Network} Network */
/** @typedef {import("./web-runtime.js").Opening} Opening */

/** @type {Network} */
let network;
/** @type {WebAssembly.Memory | undefined} */
let heap;
let weightBytes = 0;
/** @type {Worker[]} */
const threads = [];

const CALLS = {
  /** @param {string} address @param {Opening} opening @param {WebAssembly.Module | undefined} code */
  async open(address, opening, code) {
    weightBytes = opening.externalData.reduce((sum, { data }) => sum + data.byteLength, 0);
    limitMemory(weightBytes);
    keepThreads();
    const runtime = await runtimeAt(address);
    if (code) takeCompiled(runtime, code);
    network = await openWithWeb(runtime, opening, memoryMb);
    return network.inputNames;
  },
  run: /** @param {Parameters<Network["run"]>} args */ (...args) => network.run(...args),
  time: /** @param {Parameters<Network["time"]>} args */ (...args) => network.time(...args),
  memoryMb: () => network.memoryMb(),
};

addEventListener("message", async ({ data: { id, call, args } }) => {
  try {
    const result = await CALLS[/** @type {keyof typeof CALLS} */ (call)](.../** @type {[any, any, any]} */ (args));
    postMessage({ id, result });
  } catch (problem) {
    postMessage({ id, problem: problem instanceof Error ? problem.message : String(problem) });
  }
});

/** @param {string} address */
async function runtimeAt(address) {
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ address);
  } catch (problem) {
    throw refusal(problem);
  }
}

const PAGE_BYTES = 2 ** 16;
const MOST_PAGES = 2 ** 16;
// Beside three copies of the weights, of which ONNX Runtime packs one and drops one while it loads: states of a large
// batch, and ONNX Runtime's own.
const BESIDE_BYTES = 2 ** 29;

/**
 * Lowers the most that the memory of WebAssembly may grow to, which browsers set aside: of the 4 GB that ONNX Runtime
 * asks for, iPhones may have none.
 *
 * @param {number} ofWeights
 */
function limitMemory(ofWeights) {
  const most = Math.min(MOST_PAGES, Math.ceil((BESIDE_BYTES + 3 * ofWeights) / PAGE_BYTES));
  WebAssembly.Memory = class extends WebAssembly.Memory {
    constructor(/** @type {WebAssembly.MemoryDescriptor} */ asked) {
      super({ ...asked, maximum: Math.max(asked.initial, Math.min(asked.maximum ?? most, most)) });
      // Others that are made are empty: they ask whether there is such a memory at all.
      if (asked.initial) heap = this;
    }
  };
}

/**
 * Holds on to ONNX Runtime's threads, which are Workers: while they start only they themselves lead to what waits for
 * them, and Firefox takes such Workers for garbage and ends them, so that loading never would.
 */
function keepThreads() {
  globalThis.Worker = class extends Worker {
    /** @param {ConstructorParameters<typeof Worker>} parts */
    constructor(...parts) {
      super(...parts);
      threads.push(this);
    }
  };
}

function memoryMb() {
  return heap ? (heap.buffer.byteLength + weightBytes) / 1e6 : null;
}
