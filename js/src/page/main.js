/** The page that measures the device it is opened on, for `edgebert profile --browser` on another computer. */

import { checkBrowser, hasThreads } from "../engines/web.js";
import { BundleError, EdgeBertError } from "../errors.js";
import { loadBundle } from "../inputs/bundle.js";
import { attentionOf } from "../measuring/attention.js";
import { thisDevice } from "../measuring/device.js";
import { profile } from "../measuring/profiler.js";
import { settingsFor } from "../measuring/settings.js";
import { Heat } from "./heat.js";
import { Interim } from "./interim.js";
import { ConnectionLostError, OtherPageError, PageJournal, Server } from "./server.js";
import { View } from "./view.js";
import { timeLeft, wayInWords } from "./words.js";

/** @typedef {import("../measuring/rounds.js").ProfileProgress} ProfileProgress */
/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./server.js").Asked} Asked */

const ORT = "ort/ort.wasm.min.mjs";
// The graphics card needs another build of onnxruntime-web, which is twice as large.
const ENGINES = ["wasm"];
const MOST_LOSSES = 10;

const view = new View();
const stopping = new AbortController();
const server = new Server((waitS) => {
  if (waitS !== null) {
    const again = waitS === 1 ? "in a second" : `in ${waitS} seconds`;
    view.status("trouble", "The computer does not answer", `It is asked again ${again}. Is this device still in its network?`);
  }
});

/** Measures this device, tells the computer, and shows all of it. */
async function main() {
  const asked = await server.asked();
  const device = await thisDevice();
  const page = newPage();
  const records = await server.begin(device.fingerprint, page);
  // After that, so that the computer hears of it.
  checkBrowser();
  const bundle = await loadBundle("bundle/");
  if (bundle.sha256 !== asked.bundle_sha256) {
    throw new EdgeBertError("the bundle was replaced on the computer; run the same command there again");
  }
  view.about(device.name, bundle.manifest);
  view.status("waiting", "Getting ready", "The bundle and what runs it are loaded, once.");
  if (!hasThreads()) {
    view.note("This browser does not let pages use several cores, so one thread is measured. In others it may be more.");
  }
  if (records.length) view.note(`It goes on where it was: ${records.length} measurements were made before.`);

  const watch = watching(asked, device, settingsFor(bundle.manifest, optionsOf(asked)));
  const journal = new PageJournal(records, watch.add, watch.next);
  const options = { ...optionsOf(asked), ort: ORT, engines: ENGINES, journal, signal: stopping.signal };
  const measure = () => profile(bundle, { ...options, attention: watch.heat, onProgress: watch.progress });
  const found = await keptAwake(() => connected(measure));
  view.frontier(found, true);
  view.status("waiting", "Measured", "The profile is sent to the computer.");
  await server.finish(found);
  view.status("done", "Done", "The computer has saved the profile. You can close this page.");
  document.title = "done · edgebert";
  const { warning } = /** @type {{warning: string | null}} */ (found.stability);
  if (warning !== null) view.note(`Not to be trusted: ${warning}.`);
}

/**
 * Does some work, and where the connection was lost meanwhile does it again when it is back; what was measured is known.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function connected(work) {
  for (let left = MOST_LOSSES; ; left--) {
    try {
      return await work();
    } catch (problem) {
      // A fetch that failed is a TypeError.
      const isLost = problem instanceof BundleError && problem.cause instanceof TypeError;
      if (!left || !(isLost || problem instanceof ConnectionLostError)) throw problem;
      await server.asked();
    }
  }
}

/** Returns what the profiler is asked for. @param {Asked} asked */
function optionsOf({ quick, lengths, batch_sizes: batchSizes, threads, subnets }) {
  return {
    quick,
    ...(lengths && { lengths }),
    ...(batchSizes && { batchSizes }),
    ...(threads && { threads: [threads] }),
    ...(subnets && { subnets }),
  };
}

/**
 * Returns what hears of each measurement: it is shown, and posted to the computer.
 *
 * @param {Asked} asked @param {Awaited<ReturnType<typeof thisDevice>>} device
 * @param {import("../measuring/settings.js").ProfileSettings} settings
 */
function watching({ quick }, device, settings) {
  const interim = new Interim(settings);
  const doing = { headline: "", detail: "", done: 0, total: 0, made: 0, startMs: 0 };
  const show = () => view.status("measuring", doing.headline, doing.detail);
  const heat = new Heat(attentionOf(stopping.signal), {
    quick,
    stepMs: device.timer_step_ms,
    onChange(isPausing) {
      view.heat(heat.readingsMs, heat.times);
      if (isPausing) view.status("paused", "Hot: pausing", "It goes on in half a minute, or as soon as the device is cooler.");
      else show();
    },
  });
  return {
    heat,
    /** @param {number} round @param {string} subnet @param {Way} way */
    next(round, subnet, way) {
      doing.startMs ||= performance.now();
      doing.headline = subnet;
      doing.detail = `is measured now: ${round === 0 ? "a short look" : `round ${round}`}, ${wayInWords(way)}`;
      show();
    },
    /** @param {import("../measuring/rounds.js").TrialRecord} trial */
    async add(trial) {
      // onnxruntime-web may be loaded from there for each network.
      if ("reason" in trial.result) await server.check();
      const done = doing.done + 1;
      await server.add({ device, done, total: Math.max(done, doing.total), trial });
      doing.made++;
    },
    /** @param {ProfileProgress} progress */
    progress({ done, total, record }) {
      [doing.done, doing.total] = [done, total];
      heat.add(record.reading.canary_ms);
      interim.add(record);
      // Before the first is made here there is nothing to tell the time from.
      const eachS = doing.made ? (performance.now() - doing.startMs) / 1000 / doing.made : null;
      view.progress(done, total, eachS === null ? "" : done < total ? timeLeft(eachS * (total - done)) : "");
      view.heat(heat.readingsMs, heat.times);
      const known = interim.profile();
      if (known) view.frontier(known);
    },
  };
}

/**
 * Returns a name for this page that nobody else has, and ends the measuring in other tabs, which would wait for each
 * other for ever.
 */
function newPage() {
  const page = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (!globalThis.BroadcastChannel) return page;
  const tabs = new BroadcastChannel(location.pathname);
  tabs.postMessage(page);
  tabs.addEventListener("message", () => {
    stopping.abort(new OtherPageError("this page was opened once more, and measures there; load this one to go on here"));
  });
  return page;
}

/**
 * Does some work while the screen stays on, where the browser can do that.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function keptAwake(work) {
  /** @type {WakeLockSentinel | undefined} */
  let lock;
  const take = async () => {
    // A hidden page loses it.
    if (document.hidden) return;
    lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    if (!lock) view.note("Keep the screen on: this browser does not do that by itself.");
  };
  const done = new AbortController();
  document.addEventListener("visibilitychange", () => void take(), { signal: done.signal });
  await take();
  try {
    return await work();
  } finally {
    done.abort();
    await lock?.release().catch(() => {});
  }
}

try {
  await main();
} catch (problem) {
  const reason = problem instanceof Error ? problem.message : String(problem);
  const isKnown = problem instanceof EdgeBertError;
  const headline = problem instanceof OtherPageError ? "It goes on elsewhere" : "It stops here";
  view.status("failed", headline, isKnown ? sentence(reason) : `A fault of edgebert: ${reason}. Load the page again.`);
  document.title = "stopped · edgebert";
  // Who took over is told by the page that did.
  if (!(problem instanceof OtherPageError)) await server.tell(reason);
}

/** @param {string} text */
function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
