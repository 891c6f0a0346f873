/**
 * The law of selection: numbers in, one choice out. Knows neither files nor what runs graphs.
 *
 * Among the entries with a known quality and right numerics that are within the budget the best quality wins; ties go
 * to the faster, then to the smaller. Where no quality is known at all, the largest sub-network counts as the best.
 * Nothing that breaks the budget is ever chosen.
 */

import { BudgetError } from "../errors.js";
import { budgetOf, inWords, short } from "./budget.js";
import { costOf } from "./cost-model.js";

/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./budget.js").Budget} Budget */
/** @typedef {import("./budget.js").BudgetOptions} BudgetOptions */

/**
 * What the law reads of a bundle.json: the sub-networks, what they are worth, and the longest input.
 *
 * @typedef {object} Manifest
 * @property {string} name
 * @property {number} max_length
 * @property {readonly Subnetwork[]} subnetworks
 */

/**
 * @typedef {object} Subnetwork
 * @property {string} id
 * @property {number} parameters
 * @property {string} precision
 * @property {{metric: string, value: number} | null} quality
 */

/**
 * What the law reads of a profile.json.
 *
 * @typedef {object} Profile
 * @property {{lengths: readonly number[], batch_sizes: readonly number[]}} settings
 * @property {readonly Entry[]} subnetworks
 * @property {readonly {id: string, way: Way, reason: string}[]} left_out
 * @property {object} [stability] why it may be wrong
 */

/**
 * What one sub-network costs in one way, and whether it computes there what it should.
 *
 * @typedef {object} Entry
 * @property {string} id
 * @property {Way} way
 * @property {number | null} peak_memory_mb null where what ran it does not show that
 * @property {boolean} numerics_ok
 * @property {{drift: number, tolerance: number, wrong_answers: number}} numerics
 * @property {readonly number[]} pad_to
 * @property {readonly import("./cost-model.js").Latency[]} latency
 */

/**
 * Why something was not chosen, of which the first that is true counts, in the order of tests/laws/README.md.
 *
 * The kind "slower" is for what is as good as the chosen one: slower than it, or as fast and larger.
 *
 * @typedef {"slower" | "less-quality" | "over-budget" | "beyond-profile" | "unknown-memory" | "left-out" |
 *   "wrong-numerics" | "unknown-quality" | "not-profiled"} RejectionKind
 */

/** @typedef {{subnetwork: string, way: Way, kind: RejectionKind, reason: string}} Rejection `reason` is for people */

/**
 * The sub-network that a budget buys, and why the others lost; what no profile told is null.
 *
 * @typedef {object} Selection
 * @property {string} subnetwork
 * @property {Way} way
 * @property {number | null} predictedMs
 * @property {number | null} peakMemoryMb
 * @property {number | null} quality
 * @property {Budget} budget
 * @property {readonly Rejection[]} rejected
 */

/**
 * The sub-network that comes closest to a budget which none meets, and what it needs.
 *
 * @typedef {object} Miss
 * @property {string} subnetwork
 * @property {Way} way
 * @property {number} predictedMs
 * @property {number | null} peakMemoryMb
 * @property {number | null} quality
 */

/**
 * An entry that may be chosen, and what it is worth (see `worthsOf`).
 *
 * @typedef {{subnet: Subnetwork, entry: Entry, predictedMs: number, worth: number}} Candidate
 */

const UNKNOWN = "its quality is not known; export with --eval or --texts";
// Special tokens and one more: shorter inputs say nothing.
const SHORTEST = 3;
const LOWER_PERCENTILES = [90, 50];
const UNKNOWN_MEMORY = "its memory is not known, since what ran it does not show that; give no limit of memory";

/**
 * Returns the best sub-network of a bundle that meets a budget on the profiled device.
 *
 * @param {Manifest} manifest
 * @param {Profile} profile
 * @param {BudgetOptions} options
 * @returns {Selection}
 * @throws {BudgetError} none does; its `nearest` is the `Miss` that comes closest
 */
export function select(manifest, profile, options = {}) {
  warnOfUnknownQuality(manifest);
  const asked = budgetOf(options);
  // Inputs are cut to the longest that a bundle takes, so that none is longer.
  const budget = { ...asked, length: Math.min(asked.length ?? Infinity, manifest.max_length) };
  const { candidates, rejected } = admitted(manifest, profile, budget);
  const within = candidates.filter((one) => strainOf(one, budget) <= 1);
  if (within.length === 0) throw infeasible(manifest, candidates, rejected, budget, doubtOf(profile));

  const best = Math.max(...within.map((one) => one.worth));
  // A tolerance is one of quality, where that is known. 1e-9 forgives the rounding of ratios of whole numbers alone.
  const tolerance = (isAnyKnown(manifest) ? budget.tolerance : 0) + 1e-9;
  const tied = within.filter((one) => best - one.worth <= tolerance);
  const [chosen] = [...tied].sort(byCost);

  const lost = candidates.filter((one) => one !== chosen).map((one) => lostTo(one, chosen, tied, budget));
  const selection = named(chosen.subnet, budget, chosen.entry.way, [...rejected, ...lost]);
  return { ...selection, predictedMs: chosen.predictedMs, peakMemoryMb: chosen.entry.peak_memory_mb };
}

/**
 * Returns the best sub-network, the smallest of equals: what to take where nothing limits the choice.
 *
 * `takes` tells which precisions suit the way; the others are taken where there are none of these.
 *
 * @param {Manifest} manifest
 * @param {BudgetOptions} options
 * @param {Way} way
 * @param {(precision: string) => boolean} takes
 */
export function selectUnprofiled(manifest, options, way, takes = () => true) {
  warnOfUnknownQuality(manifest);
  const worths = worthsOf(manifest);
  const worth = (/** @type {Subnetwork} */ one) => /** @type {number} */ (worths.get(one.id));
  const known = manifest.subnetworks.filter((one) => worths.has(one.id));
  const suited = known.filter((one) => takes(one.precision));
  const [best] = (suited.length > 0 ? suited : [...known]).sort(
    (one, other) => worth(other) - worth(one) || one.parameters - other.parameters,
  );

  const others = manifest.subnetworks.filter((one) => one !== best);
  const rejected = others.map((one) => {
    if (suited.length === 0 || takes(one.precision)) return rejection(one.id, way, ...lessGood(one, best));
    return rejection(one.id, way, "left-out", `${one.precision} is not worth it on ${way.engine}`);
  });
  return named(best, budgetOf(options), way, rejected);
}

/**
 * Returns the selection of one sub-network whatever it costs.
 *
 * @param {Subnetwork} subnet
 * @param {Budget} budget
 * @param {Way} way
 * @param {Rejection[]} rejected
 * @returns {Selection}
 */
export function named(subnet, budget, way, rejected = []) {
  const unknown = { predictedMs: null, peakMemoryMb: null };
  return { subnetwork: subnet.id, way, ...unknown, quality: subnet.quality?.value ?? null, budget, rejected };
}

/**
 * Returns what sub-networks are chosen by, by id: known qualities, or sizes where no quality is known at all.
 *
 * @param {Manifest} manifest
 * @returns {Map<string, number>}
 */
export function worthsOf(manifest) {
  if (!isAnyKnown(manifest)) return new Map(manifest.subnetworks.map((one) => [one.id, one.parameters]));
  return new Map(manifest.subnetworks.flatMap(({ id, quality }) => (quality ? [[id, quality.value]] : [])));
}

/** @param {Manifest} manifest */
function isAnyKnown(manifest) {
  return manifest.subnetworks.some((one) => one.quality);
}

/**
 * Returns the entries that the law admits before it looks at the budget, and why the others are out.
 *
 * @param {Manifest} manifest @param {Profile} profile @param {Budget & {length: number}} budget
 */
function admitted(manifest, profile, budget) {
  const subnets = new Map(manifest.subnetworks.map((one) => [one.id, one]));
  const worths = worthsOf(manifest);
  /** @type {Candidate[]} */
  const candidates = [];
  /** @type {Rejection[]} */
  const rejected = [];
  // Of several reasons the first counts: their order is part of the law (tests/laws/README.md).
  for (const entry of profile.subnetworks) {
    const { id, way } = entry;
    const [subnet, worth] = [subnets.get(id), worths.get(id)];
    const predictedMs = costOf(entry).boundMs(budget.length, budget.batchSize, budget.percentile);
    if (!subnet || worth === undefined) {
      rejected.push(rejection(id, way, "unknown-quality", UNKNOWN));
    } else if (!entry.numerics_ok) {
      const reason = `it does not give the golden outputs on this device: ${whatIsWrong(entry)}`;
      rejected.push(rejection(id, way, "wrong-numerics", reason));
    } else if (budget.memoryMb && entry.peak_memory_mb === null) {
      rejected.push(rejection(id, way, "unknown-memory", UNKNOWN_MEMORY));
    } else if (predictedMs === null) {
      rejected.push(rejection(id, way, "beyond-profile", beyond(profile, budget)));
    } else {
      candidates.push({ subnet, entry, predictedMs, worth });
    }
  }
  return { candidates, rejected: [...rejected, ...notMeasured(manifest, profile)] };
}

/** @param {Manifest} manifest @param {Profile} profile */
function notMeasured(manifest, profile) {
  const tried = new Set([...profile.subnetworks, ...profile.left_out].map((one) => one.id));
  const others = manifest.subnetworks.filter((one) => !tried.has(one.id));
  const { way } = profile.subnetworks[0]; // for what was run in no way
  return [
    ...profile.left_out.map((one) => rejection(one.id, one.way, "left-out", one.reason)),
    ...others.map((one) => rejection(one.id, way, "not-profiled", "it is not in the profile")),
  ];
}

/**
 * Returns the most megabytes that an entry takes; where that is not known, more than any limit.
 *
 * @param {Entry} entry
 */
export function memoryBoundOf(entry) {
  // Not Infinity: two of them are to be as large as each other, and their difference would be no number.
  return entry.peak_memory_mb ?? Number.MAX_VALUE;
}

/** @param {Entry} entry */
function whatIsWrong({ numerics: { drift, tolerance, wrong_answers: wrong } }) {
  const missed = `outputs are ${short(drift, 2)} off, ${short(tolerance, 2)} is allowed`;
  if (wrong > 0) return `${missed}; ${wrong} answers are wrong`;
  return drift <= tolerance ? `${missed}; in this way other networks of its precision are wrong` : missed;
}

/** @param {Profile} profile @param {Budget} budget */
function beyond({ settings }, { length, batchSize }) {
  const measured = `${Math.max(...settings.batch_sizes)} x ${Math.max(...settings.lengths)}`;
  const asked = `${batchSize} x ${length} tokens is beyond the measured ${measured}`;
  return `${asked}; profile again with --lengths ${length} --batch-sizes ${batchSize}, or give less`;
}

/**
 * Returns how many times over the budget a candidate is: at most 1 if it is met.
 *
 * @param {Candidate} one @param {Budget} budget
 */
function strainOf({ predictedMs, entry }, { latencyMs, memoryMb }) {
  return Math.max(latencyMs ? predictedMs / latencyMs : 0, memoryMb ? memoryBoundOf(entry) / memoryMb : 0);
}

/** @param {Candidate} one @param {Candidate} other */
function byCost(one, other) {
  return (
    one.predictedMs - other.predictedMs ||
    memoryBoundOf(one.entry) - memoryBoundOf(other.entry) ||
    one.subnet.parameters - other.subnet.parameters
  );
}

/**
 * Returns why a candidate is not the chosen one.
 *
 * @param {Candidate} one @param {Candidate} chosen @param {Candidate[]} tied @param {Budget} budget
 */
function lostTo(one, chosen, tied, budget) {
  const { id, way } = one.entry;
  const over = overOf(one, budget);
  if (over) return rejection(id, way, "over-budget", over);
  if (!tied.includes(one)) return rejection(id, way, ...lessGood(one.subnet, chosen.subnet));
  const losesBy = one.predictedMs > chosen.predictedMs ? `slower: ${one.predictedMs.toFixed(2)} ms` : "larger";
  return rejection(id, way, "slower", `no better, and ${losesBy}`);
}

/** @param {Candidate} one @param {Budget} budget */
function overOf({ predictedMs, entry }, { latencyMs, memoryMb }) {
  const over = [];
  const peakMb = memoryBoundOf(entry);
  if (latencyMs && predictedMs > latencyMs) over.push(`${predictedMs.toFixed(2)} ms is over ${short(latencyMs)} ms`);
  if (memoryMb && peakMb > memoryMb) over.push(`${peakMb.toFixed(1)} MB is over ${short(memoryMb)} MB`);
  return over.join(" and ");
}

/**
 * @param {Subnetwork} subnet @param {Subnetwork} best
 * @returns {[RejectionKind, string]}
 */
function lessGood(subnet, best) {
  if (!best.quality) return ["less-quality", `${millions(subnet)} parameters, not above ${millions(best)}`];
  if (!subnet.quality) return ["unknown-quality", UNKNOWN];
  const { metric, value } = subnet.quality;
  return ["less-quality", `${metric} ${value.toFixed(3)}, not above ${best.quality.value.toFixed(3)}`];
}

/** @param {Subnetwork} subnet */
function millions(subnet) {
  return `${(subnet.parameters / 1e6).toFixed(1)} M`;
}

/** Returns why a profile may be wrong, null if nothing says so. @param {Profile} profile @returns {string | null} */
function doubtOf({ stability }) {
  return /** @type {{warning?: string | null} | undefined} */ (stability)?.warning ?? null;
}

/**
 * Returns the error that no network meets a budget; `doubt` is why the profile may be wrong.
 *
 * @param {Manifest} manifest @param {Candidate[]} candidates @param {Rejection[]} rejected
 * @param {Budget & {length: number}} budget @param {string | null} doubt
 */
function infeasible(manifest, candidates, rejected, budget, doubt) {
  if (candidates.length === 0) {
    const what = `no sub-network of bundle '${manifest.name}' can be chosen for ${inWords(budget)}`;
    return new BudgetError(`${what}; ${rejected[0].subnetwork}: ${rejected[0].reason}`, null);
  }
  // Of equals the first in the profile: that is part of the law too.
  const [nearest] = [...candidates].sort((one, other) => strainOf(one, budget) - strainOf(other, budget));
  const { subnet, entry, predictedMs } = nearest;
  const needs = [];
  if (budget.latencyMs) needs.push(`${predictedMs.toFixed(2)} ms`);
  if (budget.memoryMb) needs.push(`${memoryBoundOf(entry).toFixed(1)} MB`);
  const what = `no sub-network meets ${inWords(budget)} here; the nearest is ${subnet.id} with ${needs.join(" and ")}`;
  const { subnetwork, way, quality } = named(subnet, budget, entry.way);
  const miss = { subnetwork, way, predictedMs, peakMemoryMb: entry.peak_memory_mb, quality };
  const waysOut = waysOutOf(candidates, nearest, budget);
  const advice = ["Raise the budget", ...waysOut, "or export a smaller sub-network."].join(waysOut.length ? ", " : " ");
  return new BudgetError(`${what}. ${advice}${doubt === null ? "" : ` Or the profile is wrong: ${doubt}.`}`, miss);
}

/**
 * Returns in words what of a budget, other than its limits, could be changed so that a network meets it.
 *
 * @param {Candidate[]} candidates @param {Candidate} nearest @param {Budget & {length: number}} budget
 */
function waysOutOf(candidates, nearest, budget) {
  const found = [];
  const length = Math.max(...candidates.map((one) => longestOnTime(one, budget)));
  if (length > 0) found.push(`give a --length of at most ${length}`);
  const isAnyOnTime = (/** @type {{batchSize?: number, percentile?: number}} */ limits) =>
    candidates.some((one) => isOnTime(one, { ...budget, ...limits }));
  if (budget.batchSize > 1 && isAnyOnTime({ batchSize: 1 })) found.push("give a --batch-size of 1");
  const percentile = LOWER_PERCENTILES.find((one) => one < budget.percentile && isAnyOnTime({ percentile: one }));
  if (percentile !== undefined) found.push(`give a --percentile of ${percentile}`);
  // A latency is that of a length, memory that of the longest input there can be.
  if (memoryBoundOf(nearest.entry) > (budget.memoryMb ?? Infinity)) found.push("export again with a shorter --max-length");
  return found;
}

/** Returns whether a candidate meets a budget. @param {Candidate} one @param {Budget & {length: number}} budget */
function isOnTime({ entry }, { latencyMs, memoryMb, percentile, length, batchSize }) {
  const ms = costOf(entry).boundMs(length, batchSize, percentile);
  const isSmall = memoryBoundOf(entry) <= (memoryMb ?? Infinity);
  return isSmall && ms !== null && ms <= (latencyMs ?? Infinity);
}

/**
 * Returns the longest input, in tokens, with which a candidate meets a budget, 0 if there is none.
 * @param {Candidate} one @param {Budget & {length: number}} budget
 */
function longestOnTime(one, budget) {
  // Longer ones take longer.
  let [first, behind] = [SHORTEST, Math.max(SHORTEST, budget.length)];
  while (first < behind) {
    const length = (first + behind) >> 1;
    if (isOnTime(one, { ...budget, length })) first = length + 1;
    else behind = length;
  }
  return first > SHORTEST ? first - 1 : 0;
}

/**
 * @param {string} subnetwork @param {Way} way @param {RejectionKind} kind @param {string} reason
 * @returns {Rejection}
 */
function rejection(subnetwork, way, kind, reason) {
  return { subnetwork, way, kind, reason };
}

/** @param {Manifest} manifest */
function warnOfUnknownQuality(manifest) {
  if (isAnyKnown(manifest)) return;
  const what = `no sub-network of bundle '${manifest.name}' has a known quality, so the largest that fits is chosen`;
  console.warn(`${what}; export it with --eval or --texts`);
}
