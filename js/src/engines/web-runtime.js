/** Opens sessions of onnxruntime-web in the thread that calls it, be it a page's or a Worker's. */

import { refusal } from "./engine.js";
import { SessionNetwork } from "./session-network.js";

/** @typedef {import("./session-network.js").Runtime} Runtime */

/**
 * What a session is made of; it may be sent to a Worker.
 *
 * @typedef {object} Opening
 * @property {Uint8Array<ArrayBuffer>} graph
 * @property {{path: string, data: Uint8Array<ArrayBuffer>}[]} externalData
 * @property {"wasm" | "webgpu"} engine
 * @property {number} threads
 */

/**
 * Returns a loaded network; a BundleError says why it cannot be loaded.
 *
 * @param {Runtime} runtime @param {Opening} opening @param {() => number | null} memoryMb
 */
export async function openWithWeb(runtime, { graph, externalData, engine, threads }, memoryMb) {
  // What was said first in a thread stands there: onnxruntime-web makes its threads once.
  if (runtime.env.wasm) runtime.env.wasm.numThreads = threads;
  try {
    const options = { executionProviders: [engine], externalData, logSeverityLevel: 3 };
    return new SessionNetwork(await runtime.InferenceSession.create(graph, options), runtime, memoryMb);
  } catch (problem) {
    throw refusal(problem);
  }
}
