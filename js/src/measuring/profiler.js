/** Profiles a bundle on this device: what each sub-network costs, and whether it computes the golden outputs. */

import { engineOf, enginesOf, runtimeOf } from "../engines/engines.js";
import { EdgeBertError, ProfileError } from "../errors.js";
import { Bundle, loadBundle } from "../inputs/bundle.js";
import { readProfile } from "../inputs/profile.js";
import { listed } from "../inputs/records.js";
import { VERSION } from "../version.js";
import { attentionOf, untilAborted } from "./attention.js";
import { canaryMs } from "./canary.js";
import { thisDevice } from "./device.js";
import { isRight } from "./numerics.js";
import { findProfile, isDoubtful, keepProfile } from "./profile-cache.js";
import { NO_JOURNAL, Profiling } from "./rounds.js";
import { settingsFor } from "./settings.js";
import { isCalm, measurementsIn, stabilityOf } from "./stability.js";
import { profiledSubnet } from "./statistics.js";
import { measure } from "./trial.js";
import { combinations } from "./ways.js";

/** @typedef {import("../engines/session-network.js").Runtime} Runtime */
/** @typedef {import("../inputs/profile.js").DeviceProfile} DeviceProfile */
/** @typedef {import("./rounds.js").TrialRecord} TrialRecord */
/** @typedef {import("./settings.js").ProfileSettings} ProfileSettings */
/** @typedef {import("./ways.js").Combination} Combination */

/**
 * What `profile` may be given, all of it optional.
 *
 * @typedef {object} ProfileOptions
 * @property {Runtime | string | URL | undefined} [ort] ONNX Runtime: in browsers best the address of its module, so
 *   that each network has a Worker; by default it is found by its name
 * @property {boolean} [quick] whether it measures for some seconds, in one round and one way
 * @property {readonly number[]} [lengths] in tokens; by default 16, 64 and 128 as far as the bundle takes them, and its
 *   longest input
 * @property {readonly number[]} [batchSizes] 1 by default
 * @property {readonly number[]} [threads] by default one, half of the cores and all
 * @property {readonly string[]} [engines] by default all that are here
 * @property {readonly string[]} [subnets] the ids of sub-networks; by default all
 * @property {import("../inputs/cache.js").HashCache | null | undefined} [cache] where downloads are kept; null keeps
 *   nothing, no profile either
 * @property {import("./rounds.js").Journal} [journal] what was measured before, which is not measured again
 * @property {import("./attention.js").Attention} [attention] when to wait, and what to repeat; by default where a page
 *   is hidden
 * @property {AbortSignal | undefined} [signal] ends it
 * @property {(progress: import("./rounds.js").ProfileProgress) => void} [onProgress] is called after each trial
 */

// How often a device is looked at before a doubtful profile is measured again, and how long after that was measured.
const GLANCES = 9;
const PATIENCE_MS = 20_000;

const WHAT = ["lengths", "batchSizes", "threads", "engines", "subnets"];
const KNOWN = ["ort", "quick", ...WHAT, "cache", "journal", "attention", "signal", "onProgress"];

/**
 * Measures load time, latency, memory and numerics of a bundle's sub-networks on this device.
 *
 * Every sub-network is measured with every engine, flavor of graph and number of threads that is worth it, unless
 * `engines` and `threads` say which. A complete profile is kept for `load`.
 *
 * @param {string | URL | Bundle} place the bundle's address, or in Node the path of its folder
 * @param {ProfileOptions} [options]
 * @returns {Promise<DeviceProfile>}
 * @throws {import("../errors.js").BundleError} the bundle is damaged, or has no such sub-network
 * @throws {ProfileError} a length, batch size or number of threads that cannot be measured, or nothing could be
 * @throws {EdgeBertError} there is no such option, no such engine here, or no ONNX Runtime
 */
export async function profile(place, options = {}) {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name));
  if (unknown) throw new EdgeBertError(`profile has no option ${unknown}; expected one of ${listed(KNOWN)}`);
  const { signal, cache } = options;
  const bundle = place instanceof Bundle ? place : await loadBundle(place, { signal, cache });
  const ort = await runtimeOf(options.ort);
  const { settings, pairs, device, version } = await planned(bundle, ort, options);
  const found = await measuredProfile(bundle, ort, { settings, pairs, device, version }, options);
  const key = { bundle, device, version, batchSize: Math.max(...settings.batch_sizes) };
  if (cache !== null) await keepProfile(found, key);
  return found;
}

/**
 * Returns the kept profile of a bundle on this device, or measures a quick one of what it lacks, and keeps that.
 *
 * @param {Bundle} bundle
 * @param {ProfileOptions & {tokenizers?: unknown}} [options] as for `profile`
 * @returns {Promise<DeviceProfile>}
 * @throws {ProfileError} nothing could be measured
 */
export async function profileOf(bundle, { tokenizers: _, ...options } = {}) {
  const ort = await runtimeOf(options.ort);
  let plan = await planned(bundle, ort, { ...options, quick: true });
  const { settings, device, version } = plan;
  const key = { bundle, device, version, batchSize: Math.max(...settings.batch_sizes) };
  const find = () => (options.cache === null ? undefined : findProfile(key));
  const kept = await find();
  const isToHeal = kept && isDoubtful(kept) && isCalmNow(kept, device);
  if (kept && holds(kept, bundle, options) && !isToHeal) return warnedOf(kept);
  if (kept) {
    // Of its shapes, so that both can stand side by side, and if it is doubtful in all of its ways.
    const { lengths, batch_sizes: batchSizes } = kept.settings;
    const ways = isToHeal ? waysOf(kept, plan.pairs.map(({ way }) => way)) : {};
    plan = await planned(bundle, ort, { ...options, ...ways, lengths, batchSizes, quick: true });
  }
  await seen(options);
  // Who was hidden until now finds what another page measured.
  const meanwhile = await find();
  const isNew = !isToHeal || meanwhile?.created_at !== kept.created_at;
  if (meanwhile && holds(meanwhile, bundle, options) && isNew) return meanwhile;
  const measured = await measuredProfile(bundle, ort, plan, options);
  if (options.cache !== null) await keepProfile(measured, key);
  // What was kept before may hold more.
  const together = await find();
  return together && holds(together, bundle, options) ? together : measured;
}

/** Returns a profile, after saying so if it is doubtful. @param {DeviceProfile} kept */
function warnedOf(kept) {
  const { warning } = /** @type {import("./stability.js").Stability} */ (kept.stability);
  if (isDoubtful(kept)) {
    console.warn(`the quick profile is doubtful, and measured again when the device is calm: ${warning}`);
  }
  return kept;
}

/**
 * Returns whether a device is calm now, by some canaries; not more often than is worth it.
 *
 * @param {DeviceProfile} kept @param {import("./device.js").JavaScriptDevice} device
 */
function isCalmNow({ created_at: createdAt, stability }, { timer_step_ms: stepMs }) {
  if (Math.abs(Date.now() - Date.parse(createdAt)) < PATIENCE_MS) return false;
  const now = Array.from({ length: GLANCES }, () => canaryMs(stepMs));
  return isCalm(now, /** @type {import("./stability.js").Stability} */ (stability).readings);
}

/**
 * Returns what to ask for so that a profile's ways are measured, and some more.
 *
 * @param {DeviceProfile} kept @param {import("../way.js").Way[]} more
 */
function waysOf({ subnetworks }, more) {
  const ways = [...subnetworks.map(({ way }) => way), ...more];
  return { engines: [...new Set(ways.map((way) => way.engine))], threads: [...new Set(ways.map((way) => way.threads))] };
}

/** Returns when the page is seen. @param {ProfileOptions} options */
async function seen({ attention, signal }) {
  const watching = new AbortController();
  try {
    await untilAborted((attention ?? attentionOf(watching.signal)).wait(), signal);
  } finally {
    watching.abort();
  }
}

/** @param {Bundle} bundle @param {Runtime | string} ort @param {ProfileOptions} options */
async function planned(bundle, ort, { lengths, batchSizes, subnets, engines, threads, quick = false }) {
  const { manifest } = bundle;
  const settings = settingsFor(manifest, { lengths, batchSizes, quick });
  const chosen = subnets?.length ? [...new Set(subnets)].map((id) => bundle.subnet(id)) : manifest.subnetworks;
  const device = await thisDevice();
  const pairs = await combinations(chosen, ort, device, { engines, threads, quick });
  const { version } = await enginesOf(ort);
  return { settings, pairs, device, version };
}

/**
 * @param {Bundle} bundle @param {Runtime | string} ort @param {Awaited<ReturnType<typeof planned>>} plan
 * @param {ProfileOptions} options
 */
async function measuredProfile(bundle, ort, { settings, pairs, device, version }, options) {
  const { signal, journal = NO_JOURNAL, onProgress = () => {}, engines } = options;
  const stepMs = device.timer_step_ms;
  const watching = new AbortController();
  try {
    const profiling = new Profiling(settings, {
      measure: await measuring(bundle, { ort, stepMs, signal }),
      canaryMs: () => canaryMs(stepMs),
      alone: (trial) => alone(signal, trial),
      attention: options.attention ?? attentionOf(watching.signal),
      journal,
      onProgress,
      signal,
    });
    const keepEngines = Boolean(engines?.length);
    const records = await profiling.run(pairs, (engine) => engineOf(engine).flavors[0], { keepEngines });
    const facts = { bundle, device, version, settings, leftOut: profiling.leftOut };
    return profileFrom(records, facts);
  } finally {
    watching.abort();
  }
}

/**
 * Returns what makes a trial: in Node in a process of its own where that can open the same bundle by the same runtime.
 *
 * @param {Bundle} bundle @param {import("./trial.js").Means} means
 * @returns {Promise<import("./rounds.js").Bench["measure"]>}
 */
async function measuring(bundle, { ort, stepMs, signal }) {
  const { localPlace } = bundle;
  const found = localPlace === null ? null : await runtimeOf(undefined).catch(() => null);
  if (found === null || ort !== found) {
    return (one, settings) => measure(bundle, one, settings, { ort, stepMs, signal });
  }
  const { measureApart } = await import("./trial-apart.js");
  return ({ subnet, way }, settings) => {
    const order = { place: String(localPlace), sha256: bundle.sha256, subnet: subnet.id, way, settings, stepMs };
    return measureApart(order, signal);
  };
}

/**
 * @param {Map<Combination, TrialRecord[]>} records
 * @param {{bundle: Bundle, device: Awaited<ReturnType<typeof thisDevice>>, version: string, settings: ProfileSettings,
 *   leftOut: readonly import("./rounds.js").LeftOut[]}} facts
 * @returns {DeviceProfile}
 */
function profileFrom(records, { bundle, device, version, settings, leftOut }) {
  if (!records.size) {
    const [first] = leftOut;
    throw new ProfileError(`no sub-network could be measured here: ${first?.reason ?? "there is none"}`);
  }
  const wrong = wrongArithmetic(records);
  const entries = [...records].map(([one, ofOne]) => {
    const entry = profiledSubnet(one.subnet.id, one.way, measurementsIn(ofOne), settings);
    return { ...entry, numerics_ok: !wrong.has(arithmeticOf(one)) };
  });
  const found = {
    schema_version: 5,
    bundle_sha256: bundle.sha256,
    created_at: new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
    edgebert_version: VERSION,
    engine_versions: Object.fromEntries(entries.map(({ way }) => [way.engine, version])),
    device,
    settings,
    subnetworks: entries,
    left_out: leftOut,
    stability: stabilityOf([...records.values()], settings),
  };
  // As whoever reads the file will: a journal may hold anything.
  return readProfile(JSON.stringify(found), "the measured profile");
}

/**
 * Returns the precisions and ways that missed the golden outputs of a network.
 *
 * Of all networks then: in a deep one, roundings that fall the other way hide what is wrong in every product.
 *
 * @param {Map<Combination, TrialRecord[]>} records
 */
function wrongArithmetic(records) {
  const wrong = [...records].filter(([, ofOne]) => !measurementsIn(ofOne).every(({ numerics }) => isRight(numerics)));
  return new Set(wrong.map(([one]) => arithmeticOf(one)));
}

/** Returns what decides whether outputs are right, beside the weights. @param {Combination} one */
function arithmeticOf({ subnet: { precision }, way: { engine, device, flavor, threads } }) {
  return [precision, engine, device, flavor, threads].join();
}

/**
 * Returns whether each sub-network was measured, or could not be, in one of the ways that are asked for.
 *
 * @param {DeviceProfile} found @param {Bundle} bundle @param {Pick<ProfileOptions, "engines" | "threads">} asked
 */
function holds({ subnetworks, left_out: leftOut }, { manifest }, { engines, threads }) {
  const isAsked = (/** @type {{way: import("../way.js").Way}} */ { way }) =>
    (engines?.includes(way.engine) ?? true) && (threads?.includes(way.threads) ?? true);
  // What could not be measured counts: it would fail again.
  const tried = new Set([...subnetworks, ...leftOut].filter(isAsked).map(({ id }) => id));
  return subnetworks.some(isAsked) && manifest.subnetworks.every(({ id }) => tried.has(id));
}

const LOCK = "edgebert measuring";

/**
 * Does some work when no other page of this origin measures, since two at once spoil each other's figures. Where there
 * are no locks, nobody waits. For a trial each: a page that is hidden in the middle must not keep others waiting.
 *
 * @template T
 * @param {AbortSignal | undefined} signal @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function alone(signal, work) {
  signal?.throwIfAborted();
  const locks = globalThis.navigator?.locks;
  return locks ? await locks.request(LOCK, signal ? { signal } : {}, work) : work();
}
