/** Loads the sub-network that a budget buys here. */

import { budgetOf } from "../choosing/budget.js";
import { named, select, selectUnprofiled } from "../choosing/selection.js";
import { engineOf, enginesOf, openNetwork, runtimeOf } from "../engines/engines.js";
import { EdgeBertError } from "../errors.js";
import { Bundle, loadBundle } from "../inputs/bundle.js";
import { listed } from "../inputs/records.js";
import { checkGolden, pad, tokenizerOf } from "../inputs/tokenization.js";
import { taskMaker } from "../tasks/tasks.js";
import { Governor } from "./governor.js";
import { Policy } from "./policy.js";
import { Predictor } from "./predictor.js";
import { profileSource } from "./profile-source.js";
import { Residents } from "./residents.js";

/** @typedef {import("../engines/engine.js").Engine} Engine */
/** @typedef {import("../engines/session-network.js").Runtime} Runtime */
/** @typedef {import("../inputs/tokens.js").Tokenizer} Tokenizer */
/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./predictor.js").Model} Model */

/**
 * How far loading is: a file that is being downloaded, or a profile that is being measured.
 *
 * @typedef {{stage: "download", file: string, loadedBytes: number, totalBytes: number}
 *   | {stage: "profile", done: number, total: number, subnet: string}} Progress
 */

/**
 * What `load` may be given, all of it optional.
 *
 * @typedef {object} LoadOptions
 * @property {number | null} [latencyMs] what a request may take, at a percentile, if its texts have up to `length` tokens
 * @property {number | null} [memoryMb] what the loaded networks may take at their peak
 * @property {number} [percentile] the share of requests, in percent, for which `latencyMs` must hold; 95 by default
 * @property {number | null} [length] the longest input that the budget must hold for; by default the bundle's longest
 * @property {number} [batchSize] how many texts are answered at once; 1 by default
 * @property {number} [tolerance] how much worse than the best a sub-network may be to count as equally good
 * @property {string} [subnet] the id of a sub-network that is loaded whatever it costs
 * @property {boolean} [adaptive] whether each request gets the best sub-network for its own length and the device's
 *   present speed, as it does unless this is false
 * @property {object | string | URL} [profile] the profile to choose by, or its address; by default the one kept here,
 *   or else a quick one is measured, which takes some seconds
 * @property {Runtime | string | URL} [ort] ONNX Runtime: in browsers best the address of its module, so that each
 *   network has a Worker, whose memory comes back; by default it is found by its name
 * @property {string} [engine] what runs the networks: "wasm", "webgpu" or "node"
 * @property {number} [threads] on how many threads networks run; by default what the profile says is best
 * @property {number} [dims] to how many dimensions embeddings are cut where a call does not say so
 * @property {import("../inputs/tokenization.js").Tokenizers} [tokenizers] Hugging Face's package of
 *   tokenizers, for bundles whose tokenizer is no BERT's, where it cannot be found by its name
 * @property {import("../inputs/cache.js").HashCache | null} [cache] where downloads are kept: by default the browser's
 *   storage, null for nowhere
 * @property {boolean} [warmUp] whether a text is answered before this returns, as it is unless this is false
 * @property {AbortSignal} [signal] ends the loading
 * @property {(progress: Progress) => void} [onProgress]
 */

const BUDGET = /** @type {const} */ (["latencyMs", "memoryMb", "percentile", "length", "batchSize", "tolerance"]);
const OTHERS = ["subnet", "adaptive", "profile", "ort", "engine", "threads", "dims", "tokenizers", "cache", "warmUp"];
const KNOWN = [...BUDGET, ...OTHERS, "signal", "onProgress"];

/**
 * Loads the best sub-network that meets a budget on this device.
 *
 * @param {string | URL | Bundle} place the bundle's address, or in Node the path of its folder
 * @param {LoadOptions} [options]
 * @returns {Promise<Model>}
 * @throws {import("../errors.js").BundleError} the bundle is damaged or has no such sub-network
 * @throws {import("../errors.js").ProfileError} the profile is damaged, another bundle's, or of another runtime
 * @throws {import("../errors.js").BudgetError} no sub-network meets the budget; its `nearest` comes closest
 * @throws {EdgeBertError} an option is out of range, two contradict each other, or ONNX Runtime is not here
 */
export async function load(place, options = {}) {
  checkOptions(options);
  const { signal, onProgress, subnet, adaptive = true, warmUp = true, dims } = options;
  const asked = budgetOf(Object.fromEntries(BUDGET.map((name) => [name, options[name]])));
  const reading = { signal, onProgress: onProgress && downloading(onProgress) };

  const ort = await runtimeOf(options.ort);
  const bundle = place instanceof Bundle ? place : await loadBundle(place, { signal, cache: options.cache });
  const { manifest } = bundle;
  const budget = { ...asked, length: Math.min(asked.length ?? Infinity, manifest.max_length) };
  const makeTask = await taskMaker(manifest.task);
  const tasks = new Map(manifest.subnetworks.map((one) => [one.id, makeTask(manifest, one)]));
  const tokenizer = await tokenizerOf(await bundle.tokenizer(reading), manifest, options.tokenizers);
  checkGolden(tokenizer, await bundle.golden(reading));

  const source = await profileSource(bundle, budget.batchSize, { ...options, ort });
  const selection = await chosen(bundle, budget, options, await defaultWay(ort, options), source);
  let isLoading = true;
  const residents = new Residents(budget.memoryMb, async (id, way) => {
    // What is loaded later, in the background, nobody waits for.
    const network = await openNetwork(bundle, bundle.subnet(id), way, { ort, ...(isLoading ? reading : {}) });
    // A network's first answer takes longer.
    if (warmUp) await network.run(pad([tokenizer.encode("a")], network.inputNames));
    return network;
  });
  const governor = new Governor();
  const policy = new Policy(manifest, selection, residents, governor, tasks, adaptive ? source : null);
  const task = /** @type {import("../tasks/task.js").Task} */ (tasks.get(selection.subnetwork));
  const usual = dims === undefined ? {} : { dims };
  const predictor = new Predictor(selection, tokenizer, task, policy, residents, governor, usual);
  try {
    await (adaptive && subnet === undefined && budget.latencyMs !== null ? policy.govern() : policy.loadChosen());
  } catch (problem) {
    // What was loaded before it failed takes memory.
    await residents.dispose();
    throw problem;
  }
  isLoading = false;
  return predictor.asModel(bundle);
}

/** @param {LoadOptions} options */
function checkOptions(options) {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name));
  if (unknown) throw new EdgeBertError(`load has no option ${unknown}; expected one of ${KNOWN.join(", ")}`);
  const { threads } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads > 0)) {
    throw new EdgeBertError(`expected 1 thread or more, found ${threads}; give a whole number`);
  }
}

/**
 * Returns the sub-network that is asked for, whatever it costs, or else the best: by a profile, or without one where
 * nothing limits the choice.
 *
 * @param {Bundle} bundle @param {import("../choosing/budget.js").Budget} budget @param {LoadOptions} options
 * @param {Way} way @param {() => Promise<import("../inputs/profile.js").DeviceProfile>} source
 */
async function chosen(bundle, budget, options, way, source) {
  const { manifest } = bundle;
  if (options.subnet !== undefined) return named(bundle.subnet(options.subnet), budget, way);
  const isLimited = budget.latencyMs !== null || budget.memoryMb !== null;
  if (isLimited || budget.tolerance > 0 || options.profile !== undefined) {
    return select(manifest, await source(), budget);
  }
  const takes = (/** @type {any} */ precision) => engineOf(way.engine).takes(precision);
  return selectUnprofiled(manifest, budget, way, takes);
}

/**
 * Returns how a network is run where nothing was measured.
 *
 * @param {Runtime | string} ort @param {Pick<LoadOptions, "engine" | "threads">} asked
 * @returns {Promise<Way>}
 */
async function defaultWay(ort, { engine: name, threads }) {
  const { engines, version } = await enginesOf(ort);
  const engine = name === undefined ? engines[0] : engineOf(name);
  if (!engines.includes(engine)) {
    const known = listed(engines.map((one) => one.name));
    throw new EdgeBertError(`expected an engine of ${version}, found ${engine.name}; choose one of ${known}`);
  }
  return {
    engine: engine.name,
    device: engine.device,
    flavor: engine.flavors[0],
    threads: threads ?? engine.usualThreads(),
    options: [],
  };
}

/** @param {(progress: Progress) => void} onProgress */
function downloading(onProgress) {
  return (/** @type {{file: string, loadedBytes: number, totalBytes: number}} */ progress) =>
    onProgress({ stage: "download", ...progress });
}
