/**
 * Opens a bundle's sub-networks with the engines there are, and nothing that was not checked before.
 *
 * To add an engine, write its file and put it into `ENGINES`.
 */

import { BundleError, EdgeBertError } from "../errors.js";
import { listed, quoted } from "../inputs/records.js";
import { NODE } from "./node.js";
import { WASM, WEBGPU } from "./web.js";

/** @typedef {import("../inputs/bundle.js").Bundle} Bundle */
/** @typedef {import("../inputs/manifest.js").ExportedSubnet} ExportedSubnet */
/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("./session-network.js").Network} Network */
/** @typedef {import("./session-network.js").Runtime} Runtime */

/** @type {readonly Engine[]} */
export const ENGINES = Object.freeze([WASM, WEBGPU, NODE]);

const NAMES = /** @type {const} */ ({ web: "onnxruntime-web", node: "onnxruntime-node" });

/**
 * Returns ONNX Runtime as a module, or in browsers its address, so that each network can have a Worker of its own.
 *
 * @param {Runtime | string | URL | undefined} ort what the caller passed
 * @returns {Promise<Runtime | string>}
 * @throws {EdgeBertError} nothing was passed, and it cannot be found by its name
 */
export async function runtimeOf(ort) {
  if (typeof ort === "string" || ort instanceof URL) {
    return isNode() ? import(/* webpackIgnore: true */ /* @vite-ignore */ String(ort)) : addressOf(ort);
  }
  // A default import of a module that has only named ones, or the other way around, is an easy mistake.
  const given = /** @type {any} */ (ort)?.InferenceSession ? ort : /** @type {any} */ (ort)?.default;
  if (given?.InferenceSession && given.Tensor) return given;
  if (ort !== undefined) {
    throw new EdgeBertError("expected ONNX Runtime as ort, found something else; pass the module or its address");
  }
  try {
    if (!isNode()) return import.meta.resolve("onnxruntime-web/wasm");
    // Else it would write into the user's folders and look up a host; it asks once, when it is first loaded.
    globalThis.process.env.ORT_DISABLE_TELEMETRY = "1";
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ NAMES.node)).default;
  } catch {
    const name = isNode() ? NAMES.node : NAMES.web;
    throw new EdgeBertError(`no ${name} here; install it, or pass its module or address as ort`);
  }
}

/**
 * Returns the engines that a runtime has, the usual one first, and its name with the version.
 *
 * @param {Runtime | string} ort
 */
export async function enginesOf(ort) {
  const { versions } = (typeof ort === "string" ? await moduleAt(ort) : ort).env;
  const kind = versions.node ? "node" : "web";
  return { engines: ENGINES.filter(({ runs }) => runs === kind), version: `${NAMES[kind]} ${versions[kind]}` };
}

/** Returns the engine of that name. @param {string} name */
export function engineOf(name) {
  const found = ENGINES.find((engine) => engine.name === name);
  if (found) return found;
  throw new EdgeBertError(`no engine ${quoted(name)}; choose one of ${listed(ENGINES.map((engine) => engine.name))}`);
}

/**
 * Loads a sub-network in a way.
 *
 * @param {Bundle} bundle @param {ExportedSubnet} subnet @param {Way} way
 * @param {{ort: Runtime | string} & import("../inputs/weights.js").ReadOptions} options `ort` as `runtimeOf` gives it
 * @returns {Promise<Network>}
 * @throws {BundleError} a file of the bundle is missing or was altered, or ONNX Runtime refuses the graph
 * @throws {EdgeBertError} this browser or page cannot run it in that way
 */
export async function openNetwork(bundle, subnet, way, { ort, ...reading }) {
  const engine = engineOf(way.engine);
  if (way.options.length) {
    throw new EdgeBertError(`the engine ${engine.name} is run with no options, found some; profile again`);
  }
  const open = await bundle.openGraph(subnet, way.flavor, reading);
  const network = await engine.open({ ...open, threads: way.threads, ort, signal: reading.signal });
  const { inputs } = bundle.manifest;
  const isRight = network.inputNames.includes("input_ids") && network.inputNames.every((name) => isOneOf(name, inputs));
  if (isRight) return network;
  await network.dispose();
  const what = `expected a graph of ${listed(inputs)}, found one of ${listed(network.inputNames)}`;
  throw new BundleError(`${quoted(subnet.id)}: ${what}; export the bundle again`);
}

/** @param {string} name @param {readonly string[]} names */
function isOneOf(name, names) {
  return names.includes(name);
}

function isNode() {
  return Boolean(globalThis.process?.versions?.node);
}

/** @param {string | URL} ort */
function addressOf(ort) {
  try {
    return new URL(ort, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {
    throw new EdgeBertError(`expected an address as ort, found ${quoted(String(ort))}; pass that of a module`);
  }
}

/** @param {string} address @returns {Promise<Runtime>} */
async function moduleAt(address) {
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ address);
  } catch (problem) {
    const reason = problem instanceof Error ? problem.message : problem;
    throw new EdgeBertError(`cannot load onnxruntime-web from ${address}: ${reason}; check the address`);
  }
}
