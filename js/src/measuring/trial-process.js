/** The process of one trial in Node: it is sent an order, answers, and ends; it ends too when who started it does. */

import { runtimeOf } from "../engines/engines.js";
import { BundleError, EdgeBertError } from "../errors.js";
import { loadBundle } from "../inputs/bundle.js";
import { measure } from "./trial.js";

/** @typedef {import("./trial-apart.js").Order} Order */
/** @typedef {import("./trial-apart.js").Reply} Reply */

const { process } = globalThis;

process.on("disconnect", () => process.exit(1));
process.once("message", async (/** @type {Order} */ order) => {
  const reply = await replyTo(order);
  process.send?.(reply, () => process.exit(0));
});

/** @param {Order} order @returns {Promise<Reply>} */
async function replyTo({ place, sha256, subnet, way, settings, stepMs }) {
  try {
    const ort = await runtimeOf(undefined);
    // Behind ONNX Runtime, which every app has loaded that runs any network.
    const before = residentMb();
    const bundle = await loadBundle(place);
    if (bundle.sha256 !== sha256) {
      throw new BundleError(`the bundle at ${place} was replaced since it was loaded; load or profile it again`);
    }
    const result = await measure(bundle, { subnet: bundle.subnet(subnet), way }, settings, { ort, stepMs });
    return { result: "reason" in result ? result : { ...result, ...memoryMb(before) } };
  } catch (problem) {
    if (problem instanceof EdgeBertError) return { problem: problem.message };
    throw problem;
  }
}

/** Returns what the network took beside what the process had before. @param {number} before in MB */
function memoryMb(before) {
  // What it read the weights into is of no more use, and would be dropped sooner or later.
  globalThis.gc?.();
  const steady = Math.max(0, residentMb() - before);
  // Node tells it in units of 1024 bytes.
  const peak = Math.max(steady, (process.resourceUsage().maxRSS * 1024) / 1e6 - before);
  return { peak_memory_mb: peak, steady_memory_mb: steady, private_memory_mb: steady };
}

function residentMb() {
  return process.memoryUsage.rss() / 1e6;
}
