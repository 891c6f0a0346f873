/** What every engine answers for; each has a file beside this one. */

import { BundleError } from "../errors.js";

/** @typedef {import("../inputs/manifest.js").ExportedSubnet["precision"]} Precision */
/** @typedef {import("./session-network.js").Network} Network */
/** @typedef {import("./session-network.js").Runtime} Runtime */

/**
 * What runs graphs: one of ONNX Runtime's packages, on a kind of processor.
 *
 * @typedef {object} Engine
 * @property {string} name
 * @property {"CPU" | "GPU"} device
 * @property {readonly ("fused" | "portable")[]} flavors of the graphs that it runs, the one that suits it first
 * @property {string} runs the package whose runtime this is, as `env.versions` calls it
 * @property {(precision: Precision) => boolean} takes whether graphs of a precision are worth running with it
 * @property {() => readonly number[]} threadCounts those worth measuring, in ascending order
 * @property {() => number} usualThreads on how many a network is run where nothing was measured
 * @property {(opening: Opening) => Promise<Network>} open
 */

/**
 * A graph with its weights, on how many threads it is to run, and by what: a module of ONNX Runtime, or its address;
 * `signal` ends a Worker that is loading it.
 *
 * @typedef {{threads: number, ort: Runtime | string, signal?: AbortSignal | undefined}} Means
 * @typedef {import("../inputs/bundle.js").OpenGraph & Means} Opening
 */

/** Returns one thread, half of all and all, each once. @param {number} cores */
export function countsUpTo(cores) {
  return [...new Set([1, Math.ceil(cores / 2), cores])];
}

/** Returns the error for what ONNX Runtime says of a network. @param {unknown} problem */
export function refusal(problem) {
  const reason = problem instanceof Error ? problem.message : String(problem);
  const line = reason.trim().split("\n", 1)[0].slice(0, 300) || "no reason given";
  return new BundleError(`ONNX Runtime cannot run this network: ${line}; choose another, or another engine`);
}
