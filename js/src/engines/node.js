/** The engine `node`: onnxruntime-node, on the processor. */

import { countsUpTo, refusal } from "./engine.js";
import { SessionNetwork } from "./session-network.js";

/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {import("./engine.js").Opening} Opening */
/** @typedef {import("./session-network.js").Runtime} Runtime */

/** @type {Engine} */
export const NODE = Object.freeze({
  name: "node",
  device: "CPU",
  flavors: Object.freeze(/** @type {const} */ (["fused", "portable"])),
  runs: "node",
  takes: (/** @type {string} */ precision) => precision !== "fp16",
  threadCounts: () => countsUpTo(processors()),
  usualThreads: processors,
  open,
});

/** @param {Opening} opening */
async function open({ graph, externalData, threads, ort }) {
  const before = residentMb();
  const runtime = /** @type {Runtime} */ (ort);
  try {
    const session = await runtime.InferenceSession.create(graph, {
      executionProviders: ["cpu"],
      externalData,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    // Of this process: true as long as nothing else happens in it, such as while it profiles.
    return new SessionNetwork(session, runtime, () => Math.max(0, residentMb() - before));
  } catch (problem) {
    throw refusal(problem);
  }
}

function residentMb() {
  return globalThis.process.memoryUsage.rss() / 1e6;
}

/** Returns how many threads may run at once: newer versions of Node tell what a container grants, in `navigator` too. */
function processors() {
  return globalThis.navigator?.hardwareConcurrency ?? OS?.availableParallelism?.() ?? OS?.cpus().length ?? 1;
}

// Only in Node, so that no browser looks for it.
const OS = globalThis.process?.versions?.node ? await import("node:os") : undefined;
