/** Where profiles of this device are kept, in a browser or on a disk, and when a kept one may still be used. */

import { CACHE_NAME } from "../inputs/cache.js";
import { sha256Of } from "../inputs/hashing.js";
import { checkFits, readProfile } from "../inputs/profile.js";
import { keyOf } from "../way.js";
import { canaryMs } from "./canary.js";
import { median } from "./statistics.js";

/** @typedef {import("../inputs/bundle.js").Bundle} Bundle */
/** @typedef {import("../inputs/profile.js").DeviceProfile} DeviceProfile */
/** @typedef {import("./device.js").JavaScriptDevice} JavaScriptDevice */
/** @typedef {import("./stability.js").Stability} Stability */

/**
 * What a kept profile must be of: a bundle, this device, a version of ONNX Runtime and the largest batch.
 *
 * @typedef {{bundle: Bundle, device: JavaScriptDevice, version: string, batchSize: number}} Key
 */

// Times the canary's latency then: more, or less than one by it, and the profile is measured again.
const SAME_SPEED = 1.1;
// Some are late for no lasting reason, so their median counts.
const CANARY_RUNS = 7;
// Of the state of the device: twice as many rounds as one profile has at most.
const MOST_READINGS = 20;
// No profile has so much: what grew beyond it is not read into memory.
const MOST_BYTES = 2 ** 24;

/**
 * Returns the kept profile of a bundle on this device, if there is one that may be used.
 *
 * @param {Key} key
 * @returns {Promise<DeviceProfile | undefined>}
 */
export async function findProfile(key) {
  try {
    const content = await (await storeOf(key)).read();
    const found = content === undefined ? undefined : readProfile(content, "the kept profile");
    if (!found) return undefined;
    checkFits(found, key.bundle.manifest);
    return isOfThisDevice(found, key.device) ? found : undefined;
  } catch {
    // Nothing that can be read, or that was altered: it is measured again.
    return undefined;
  }
}

/**
 * Keeps a profile for later, if it is of all sub-networks: together with what is kept, or in place of it.
 *
 * @param {DeviceProfile} found @param {Key} key
 */
export async function keepProfile(found, key) {
  const { subnetworks, max_length: longest } = key.bundle.manifest;
  const ids = new Set(found.subnetworks.map(({ id }) => id));
  const earlier = await findProfile(key);
  const fits = earlier && isAlike(earlier, found);
  // Who asks later names no shapes.
  if (!found.settings.lengths.includes(longest) || !(fits || subnetworks.every(({ id }) => ids.has(id)))) return;
  try {
    await (await storeOf(key)).write(JSON.stringify(fits ? merged(earlier, found) : found));
  } catch {
    // The storage is full, or was taken away: then it serves this once.
  }
}

/** @param {DeviceProfile} found @param {JavaScriptDevice} device */
function isOfThisDevice({ device: was, stability }, device) {
  if (was.runtime !== "javascript" || was.fingerprint !== device.fingerprint) return false;
  if (was.user_agent === device.user_agent) return true;
  // Whether another version of the browser or the system matters is for the canary to tell.
  const { readings } = /** @type {Stability} */ (stability);
  const wasMs = median(readings.map((one) => one.canary_ms));
  const times = median(Array.from({ length: CANARY_RUNS }, () => canaryMs(device.timer_step_ms))) / wasMs;
  return Math.max(times, 1 / times) <= SAME_SPEED;
}

/** Returns whether two profiles may stand side by side. @param {DeviceProfile} one @param {DeviceProfile} other */
function isAlike({ settings: one }, { settings: other }) {
  return one.lengths.join() === other.lengths.join() && one.batch_sizes.join() === other.batch_sizes.join();
}

/**
 * Returns whether a profile is no more than a short look at a device that was busy, hot or slow: the next one counts
 * too.
 *
 * @param {DeviceProfile} profile
 */
export function isDoubtful({ settings, stability }) {
  return settings.min_rounds === 1 && /** @type {Stability} */ (stability).warning !== null;
}

/**
 * Returns two profiles as one: what the newer one measured takes the place of what was, unless that was measured in
 * more rounds or, if both were short looks, by a calm device. Of two looks at restless devices the faster entries count,
 * since what else a device does only ever takes time.
 *
 * @param {DeviceProfile} earlier @param {DeviceProfile} newer
 */
export function merged(earlier, newer) {
  const keyed = (/** @type {{id: string, way: import("../way.js").Way}} */ one) => one.id + keyOf(one.way);
  const areDoubtful = [earlier, newer].map(isDoubtful);
  if (areDoubtful[0] && areDoubtful[1]) newer = fasterOf(earlier, newer, keyed);
  const isBetter = earlier.settings.min_rounds > newer.settings.min_rounds || (areDoubtful[1] && !areDoubtful[0]);
  const [weak, strong] = isBetter ? [newer, earlier] : [earlier, newer];
  const measured = new Set(strong.subnetworks.map(keyed));
  const added = weak.subnetworks.filter((one) => !measured.has(keyed(one)));
  if (!added.length) return strong;
  added.forEach((one) => measured.add(keyed(one)));
  const leftOut = new Map([...earlier.left_out, ...newer.left_out].map((one) => [keyed(one), one]));
  return {
    ...newer,
    engine_versions: { ...earlier.engine_versions, ...newer.engine_versions },
    settings: mergedSettings(earlier.settings, newer.settings),
    subnetworks: [...strong.subnetworks, ...added],
    left_out: [...leftOut].filter(([key]) => !measured.has(key)).map(([, one]) => one),
    stability: mergedStability(/** @type {any} */ (earlier.stability), /** @type {any} */ (newer.stability)),
  };
}

/**
 * Returns the newer profile with those entries of the earlier one that are faster.
 *
 * @param {DeviceProfile} earlier @param {DeviceProfile} newer
 * @param {(one: DeviceProfile["subnetworks"][number]) => string} keyed
 */
function fasterOf(earlier, newer, keyed) {
  const before = new Map(earlier.subnetworks.map((one) => [keyed(one), one]));
  const slowness = (/** @type {DeviceProfile["subnetworks"][number]} */ { latency }) =>
    latency.reduce((sum, row) => sum + row.p50_ms, 0);
  const subnetworks = newer.subnetworks.map((one) => {
    const other = before.get(keyed(one));
    return other && slowness(other) < slowness(one) ? other : one;
  });
  return { ...newer, subnetworks };
}

/** @param {DeviceProfile["settings"]} one @param {DeviceProfile["settings"]} other */
function mergedSettings(one, other) {
  return {
    ...other,
    min_rounds: Math.min(one.min_rounds, other.min_rounds),
    min_runs: Math.min(one.min_runs, other.min_runs),
    min_seconds: Math.min(one.min_seconds, other.min_seconds),
    max_seconds: Math.min(one.max_seconds, other.max_seconds),
    interval_share: Math.max(one.interval_share, other.interval_share),
  };
}

/** @param {Stability} one @param {Stability} other @returns {Stability} */
function mergedStability(one, other) {
  return {
    rounds: Math.min(one.rounds, other.rounds),
    median_drift: Math.max(one.median_drift, other.median_drift),
    worst_drift: Math.max(one.worst_drift, other.worst_drift),
    canary_drift: Math.max(one.canary_drift, other.canary_drift),
    others_share: null,
    readings: [...one.readings, ...other.readings].slice(-MOST_READINGS),
    unsettled: [...new Set([...one.unsettled, ...other.unsettled])],
    warning: other.warning ?? one.warning,
  };
}

/** @param {Key} key */
async function storeOf({ bundle, device, version, batchSize }) {
  const versions = (await sha256Of(new TextEncoder().encode(version))).slice(0, 16);
  const name = `${bundle.sha256.slice(0, 16)}-${device.fingerprint}-${versions}-b${batchSize}.json`;
  return globalThis.process?.versions?.node ? fileNamed(name) : entryNamed(name);
}

/** In the browser's storage, beside what bundles keep there. @param {string} name */
async function entryNamed(name) {
  const cache = await globalThis.caches.open(CACHE_NAME);
  // An address that stands for it; nothing is ever asked there.
  const address = `https://edgebert.invalid/profiles/${name}`;
  return {
    async read() {
      const kept = await cache.match(address);
      return kept && new Uint8Array(await kept.arrayBuffer());
    },
    write: (/** @type {string} */ content) => cache.put(address, new Response(content)),
  };
}

// Not by their plain names, which bundlers for browsers would look for.
const builtin = (/** @type {string} */ name) => import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);

/** In the folder of this user where Python's profiles are too. @param {string} name */
async function fileNamed(name) {
  const [fs, path, os] = await Promise.all(["fs/promises", "path", "os"].map(builtin));
  const folder = path.join(cacheFolder(path, os.homedir()), "edgebert", "profiles");
  const file = path.join(folder, name);
  return {
    /** @returns {Promise<Uint8Array | undefined>} */
    async read() {
      const { size } = await fs.stat(file);
      return size > MOST_BYTES ? undefined : fs.readFile(file);
    },
    /** Writes in one step, so that nobody reads half of it. @param {string} content */
    async write(content) {
      await fs.mkdir(folder, { recursive: true });
      const beside = `${file}.${globalThis.process.pid}.part`;
      try {
        await fs.writeFile(beside, content, { flag: "wx", flush: true });
        await fs.rename(beside, file);
      } catch (problem) {
        await fs.rm(beside, { force: true });
        throw problem;
      }
    },
  };
}

/** @param {typeof import("node:path")} path @param {string} home */
function cacheFolder(path, home) {
  const { platform, env } = globalThis.process;
  if (platform === "win32") return path.join(env.LOCALAPPDATA ?? path.join(home, "AppData", "Local"));
  if (platform === "darwin") return path.join(home, "Library", "Caches");
  const asked = env.XDG_CACHE_HOME;
  return asked && path.isAbsolute(asked) ? asked : path.join(home, ".cache");
}
