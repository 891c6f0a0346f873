/** Which ways of running a network are worth measuring: all that are there, less those that a short look rules out. */

import { enginesOf } from "../engines/engines.js";
import { EdgeBertError, ProfileError } from "../errors.js";
import { listed, quoted } from "../inputs/records.js";
import { keyOf } from "../way.js";
import { median } from "./statistics.js";

/** @typedef {import("../engines/engine.js").Engine} Engine */
/** @typedef {import("../engines/session-network.js").Runtime} Runtime */
/** @typedef {import("../inputs/manifest.js").ExportedSubnet} ExportedSubnet */
/** @typedef {import("../way.js").Way} Way */

/**
 * A sub-network and a way to run it; there is one of each, so that it can be told from others by identity.
 *
 * @typedef {{subnet: ExportedSubnet, way: Way}} Combination
 */

/**
 * Which ways are asked for: all engines and numbers of threads that are not ruled out, or with `quick` the usual one.
 *
 * @typedef {{engines?: readonly string[] | undefined, threads?: readonly number[] | undefined, quick?: boolean}} Asked
 */

/**
 * The median latencies of one network in each way, shape by shape.
 *
 * @typedef {Map<Way, readonly number[]>} MediansByWay
 */

// How many times the latency of the best way rules a way out, if it is so for every network and shape looked at.
const HOPELESS = 2;
// How many times faster a flavor that is not the engine's own must be: a short look is no more exact.
const GAINS = 1.03;
// How many times faster another engine than the first must be at one shape at least: each takes minutes of measuring.
const ENGINE_GAINS = 1.05;
// Of those that are worth it none has more than one for each core.
const MAX_THREADS_PER_CORE = 8;

/**
 * Returns each sub-network in each way that it can be run in here.
 *
 * @param {readonly ExportedSubnet[]} subnets @param {Runtime | string} ort as `runtimeOf` gives it
 * @param {{cores: number | null, gpu: string | null}} device @param {Asked} asked
 * @returns {Promise<Combination[]>}
 * @throws {EdgeBertError} there is no such engine here
 * @throws {ProfileError} no engine takes the sub-networks, or threads are out of range
 */
export async function combinations(subnets, ort, device, asked) {
  const engines = await enginesAsked(ort, device, asked.engines);
  checkThreads(asked.threads, device.cores);
  /** @type {Map<string, Way>} */
  const known = new Map();
  const found = subnets.flatMap((subnet) => {
    const able = engines.filter((engine) => engine.takes(subnet.precision));
    // Who asks for several engines has them all looked at, however quickly.
    const chosen = asked.quick && !asked.engines ? able.slice(0, 1) : able;
    const ways = chosen.flatMap((engine) => waysOf(engine, subnet, ort, asked));
    // One object for each way, so that those of two sub-networks are the same.
    for (const way of ways) if (!known.has(keyOf(way))) known.set(keyOf(way), way);
    return ways.map((way) => ({ subnet, way: /** @type {Way} */ (known.get(keyOf(way))) }));
  });
  if (found.length) return found;
  const precisions = [...new Set(subnets.map((one) => one.precision))].sort().join(" and ");
  const names = engines.map(({ name }) => name).join(" and ");
  throw new ProfileError(`${names} is no engine for ${precisions}; choose another engine or export more precisions`);
}

/** @param {Runtime | string} ort @param {{gpu: string | null}} device @param {readonly string[] | undefined} asked */
async function enginesAsked(ort, { gpu }, asked) {
  const { engines } = await enginesOf(ort);
  const here = engines.filter((engine) => engine.device === "CPU" || gpu !== null);
  const known = listed(here.map(({ name }) => name));
  for (const name of asked ?? []) {
    if (here.some((engine) => engine.name === name)) continue;
    throw new EdgeBertError(`no engine ${quoted(name)} here; choose one of ${known}`);
  }
  return asked?.length ? here.filter(({ name }) => asked.includes(name)) : here;
}

/** @param {readonly number[] | undefined} threads @param {number | null} cores */
function checkThreads(threads, cores) {
  const most = MAX_THREADS_PER_CORE * (cores ?? 1);
  const wrong = threads?.find((one) => !(Number.isInteger(one) && one >= 1 && one <= most));
  if (wrong === undefined) return;
  throw new ProfileError(`expected 1 to ${most} threads on this device, found ${wrong}; choose one of these`);
}

/**
 * @param {Engine} engine @param {ExportedSubnet} subnet @param {Runtime | string} ort @param {Asked} asked
 * @returns {Way[]}
 */
function waysOf(engine, subnet, ort, { threads, quick }) {
  // In the thread that calls it, onnxruntime-web makes its threads once: so many as the first network asks for.
  const isFixed = engine.runs === "web" && typeof ort !== "string";
  const counts = quick || isFixed ? [engine.usualThreads()] : engine.threadCounts();
  const flavors = engine.flavors.filter((flavor) => flavor in subnet.graphs);
  return (threads ?? counts).flatMap((count) =>
    (quick ? flavors.slice(0, 1) : flavors).map((flavor) => {
      return { engine: engine.name, device: engine.device, flavor, threads: count, options: [] };
    }),
  );
}

/**
 * Returns the ways that are not worth it, and why, from a short look at some networks of one precision.
 *
 * With `keepEngines` an engine is kept that is nowhere faster than the first one. `ownFlavor` says which flavor suits
 * an engine.
 *
 * @param {readonly MediansByWay[]} networks @param {(engine: string) => string} ownFlavor
 * @param {{keepEngines?: boolean}} options
 * @returns {Map<Way, string>}
 */
export function hopelessWays(networks, ownFlavor, { keepEngines = false } = {}) {
  const hopeless = new Map();
  for (const way of new Set(networks.flatMap((one) => [...one.keys()]))) {
    const reason = whyHopeless(way, networks, ownFlavor, keepEngines);
    if (reason) hopeless.set(way, reason);
  }
  return hopeless;
}

/**
 * @param {Way} way @param {readonly MediansByWay[]} networks @param {(engine: string) => string} ownFlavor
 * @param {boolean} keepEngines
 */
function whyHopeless(way, networks, ownFlavor, keepEngines) {
  const slower = timesBest(way, networks, () => true);
  // Somewhat slower is not enough: fewer threads leave cores to others.
  if (Math.min(...slower) >= HOPELESS) {
    const [least, most] = [Math.min(...slower), Math.max(...slower)].map((times) => times.toFixed(1));
    return `${least} to ${most} times as slow as the fastest way`;
  }

  const beside = timesBest(way, networks, (other, first) => {
    return way.engine !== first.engine && other.engine === first.engine && other.threads === way.threads;
  });
  if (!keepEngines && beside.length && Math.min(...beside) > 1 / ENGINE_GAINS) {
    return `nowhere faster than another engine, at best ${Math.min(...beside).toFixed(2)} times as slow`;
  }

  const flavors = timesOtherFlavor(way, networks);
  if (!flavors.length) return undefined;
  // Of logarithms: the median of an even number of ratios is then 1 over that of the inverse ones, so that exactly one
  // of two flavors is left, whichever is taken first.
  const times = Math.exp(median(flavors.map(Math.log)));
  const most = way.flavor === ownFlavor(way.engine) ? GAINS : 1 / GAINS;
  return times > most ? `${times.toFixed(2)} times as slow as the other flavor` : undefined;
}

/**
 * Returns how many times slower a way is than the best of some, for each network that ran it and each shape.
 *
 * @param {Way} way @param {readonly MediansByWay[]} networks
 * @param {(other: Way, first: Way) => boolean} isOne whether a way is one of these; `first` is the first there is
 */
function timesBest(way, networks, isOne) {
  return networks.flatMap((medians) => {
    const [first] = medians.keys();
    const others = [...medians].filter(([other]) => isOne(other, first)).map(([, ms]) => ms);
    // A way that a trial failed in is missing there: it is judged by the networks that it ran.
    const own = medians.get(way);
    return own && others.length ? own.map((ms, shape) => ms / Math.min(...others.map((one) => one[shape]))) : [];
  });
}

/**
 * Returns how many times slower a way's flavor is than the other, on all numbers of threads together: which suits an
 * engine is no matter of threads, and a page is seldom so quiet that a short look is right about each.
 *
 * @param {Way} way @param {readonly MediansByWay[]} networks
 */
function timesOtherFlavor(way, networks) {
  const ways = new Set(networks.flatMap((medians) => [...medians.keys()]));
  const alike = [...ways].filter((one) => one.engine === way.engine && one.flavor === way.flavor);
  return alike.flatMap((one) => {
    return timesBest(one, networks, (other) => {
      return other.engine === one.engine && other.threads === one.threads && other.flavor !== one.flavor;
    });
  });
}
