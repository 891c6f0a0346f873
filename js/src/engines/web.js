/** The engines of onnxruntime-web: `wasm` on the processor, and `webgpu` on the graphics card. */

import { BundleError, EdgeBertError } from "../errors.js";
import { countsUpTo } from "./engine.js";
import { openWithWeb } from "./web-runtime.js";
import { WorkerNetwork } from "./worker-network.js";

/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("./engine.js").Opening} Opening */

/** @type {Engine} */
export const WASM = Object.freeze({
  name: "wasm",
  device: "CPU",
  flavors: Object.freeze(/** @type {const} */ (["fused", "portable"])),
  runs: "web",
  takes: (/** @type {string} */ precision) => precision !== "fp16",
  threadCounts: () => countsUpTo(processors()),
  // As onnxruntime-web does: a phone's cores are not alike.
  usualThreads: () => Math.min(4, Math.ceil(processors() / 2)),
  open: (/** @type {Opening} */ opening) => openedWith("wasm", opening),
});

/** @type {Engine} */
export const WEBGPU = Object.freeze({
  name: "webgpu",
  device: "GPU",
  flavors: Object.freeze(/** @type {const} */ (["portable"])),
  runs: "web",
  // Its products are of floats.
  takes: (/** @type {string} */ precision) => precision === "fp32" || precision === "fp16",
  threadCounts: () => [1],
  usualThreads: () => 1,
  open: (/** @type {Opening} */ opening) => openedWith("webgpu", opening),
});

/** Returns whether this page may share memory between threads, which it must be served with two headers for. */
export function hasThreads() {
  return Boolean(globalThis.crossOriginIsolated && globalThis.SharedArrayBuffer);
}

/** Returns how many threads may run at once: in Firefox one, unless somebody asks for more. */
function processors() {
  if (!hasThreads()) return 1;
  // There, a Worker that starts threads may hang: 1 of 104 did, of those that compile the code themselves 16 of 44
  // (Firefox 153, onnxruntime-web 1.30, 2 threads).
  return navigator.userAgent.includes("Firefox/") ? 1 : navigator.hardwareConcurrency;
}

// A module with one function, which makes a vector: (func (result v128) i32.const 0 i8x16.splat).
const WITH_SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11];

/** Throws an EdgeBertError if this browser cannot run networks at all. */
export function checkBrowser() {
  if (globalThis.WebAssembly?.validate(Uint8Array.from(WITH_SIMD))) return;
  throw new EdgeBertError("expected a browser with WebAssembly SIMD, found one without; use a newer browser");
}

// Threads were reported to hang some browsers while they load weights (onnxruntime #26858).
const LOADING_S = 120;
const LATE = `expected a network that loads within ${LOADING_S} s, found one that does not; load it with threads: 1`;

/** @param {"wasm" | "webgpu"} engine @param {Opening} opening */
async function openedWith(engine, { graph, externalData, threads, ort, signal }) {
  checkBrowser();
  const most = WASM.threadCounts().at(-1) ?? 1;
  if (threads > most && !hasThreads()) {
    const cure = "serve the page with Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy";
    throw new EdgeBertError(`expected 1 thread in a page that is not isolated, found ${threads}; ${cure}`);
  }
  const opening = { graph, externalData, engine, threads };
  if (typeof ort !== "string") return openWithWeb(ort, opening, () => null);
  signal?.throwIfAborted();
  const network = new WorkerNetwork();
  const end = () => void network.dispose();
  signal?.addEventListener("abort", end);
  const late = setTimeout(() => network.endWith(new BundleError(LATE)), LOADING_S * 1000);
  try {
    await network.open(ort, opening);
    return network;
  } catch (problem) {
    await network.dispose();
    signal?.throwIfAborted();
    throw problem;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener("abort", end);
  }
}
