/** In Node, a trial in a fresh process: only so it shows what memory a network takes, and only one network has it. */

import { BundleError, ProfileError } from "../errors.js";
import { lineOf } from "./device.js";

/** @typedef {import("./trial.js").Measurement | import("./trial.js").Failure} Result */

/**
 * What the process is told to measure, and what it answers: a result, or what is wrong with the bundle.
 *
 * @typedef {object} Order
 * @property {string} place of the bundle
 * @property {string} sha256
 * @property {string} subnet
 * @property {import("../way.js").Way} way
 * @property {import("./settings.js").ProfileSettings} settings
 * @property {number} stepMs
 * @typedef {{result: Result} | {problem: string}} Reply
 */

// Not by their plain names, which bundlers for browsers would look for.
const builtin = (/** @type {string} */ name) => import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);

const MOST_CHARACTERS = 10_000;

/**
 * Returns what was measured, or why nothing could be.
 *
 * @param {Order} order @param {AbortSignal | undefined} signal
 * @returns {Promise<Result>}
 * @throws {BundleError} the bundle is damaged
 * @throws {ProfileError} no process can be started
 */
export async function measureApart(order, signal) {
  const [{ fork }, { fileURLToPath }] = await Promise.all(["child_process", "url"].map(builtin));
  signal?.throwIfAborted();
  const script = fileURLToPath(new URL("./trial-process.js", import.meta.url));
  /** @type {import("node:child_process").ChildProcess} */
  const child = fork(script, [], { execArgv: ["--expose-gc"], stdio: ["ignore", "ignore", "pipe", "ipc"] });
  const kill = () => void child.kill("SIGKILL");
  signal?.addEventListener("abort", kill);
  try {
    const reply = await replyOf(child, order);
    if ("problem" in reply) throw new BundleError(reply.problem);
    return reply.result;
  } catch (problem) {
    signal?.throwIfAborted();
    throw problem;
  } finally {
    signal?.removeEventListener("abort", kill);
    kill();
  }
}

/** @param {import("node:child_process").ChildProcess} child @param {Order} order @returns {Promise<Reply>} */
function replyOf(child, order) {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text) => (said = (said + text).slice(-MOST_CHARACTERS)));
    child.on("message", (reply) => resolve(/** @type {Reply} */ (reply)));
    child.on("error", ({ message }) => {
      reject(new ProfileError(`cannot start a process to measure in: ${message}; close other programs`));
    });
    // By a signal it has no status: such as SIGKILL where the system had no memory left.
    child.on("close", (status, signal) => {
      const lines = said.trim().split("\n");
      // Behind the error Node says where it was, and its own version.
      const message = lines.find((line) => /^\w*Error\b/.test(line)) ?? lines[lines.length - 1];
      const end = signal ?? `status ${status}`;
      resolve({ result: { reason: `its process ended with ${end} (${lineOf(message) || "no message"})` } });
    });
    child.send(order, (problem) => {
      // It has ended at once, which says more.
      if (problem) child.kill("SIGKILL");
    });
  });
}
