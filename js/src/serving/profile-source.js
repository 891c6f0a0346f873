/** What gives the profile that choices are made from: the one given, or one that is kept here or measured. */

import { enginesOf } from "../engines/engines.js";
import { EdgeBertError, ProfileError } from "../errors.js";
import { openFolder } from "../inputs/source.js";
import { checkFits, narrowed, readProfile } from "../inputs/profile.js";

/** @typedef {import("../engines/session-network.js").Runtime} Runtime */
/** @typedef {import("../inputs/bundle.js").Bundle} Bundle */
/** @typedef {import("../inputs/profile.js").DeviceProfile} DeviceProfile */

const MOST_BYTES = 2 ** 24;

/**
 * Returns what gives the profile, with only the ways that are asked for.
 *
 * A profile that is given is read and checked at once; one that is not is measured when a choice first needs it: who
 * names a sub-network, or has no limit, never waits for that.
 *
 * @param {Bundle} bundle @param {number} batchSize
 * @param {Omit<import("./load.js").LoadOptions, "ort"> & {ort: Runtime | string}} options
 * @returns {Promise<() => Promise<DeviceProfile>>}
 * @throws {ProfileError} the one given cannot be read, is another bundle's, or holds nothing of this runtime
 */
export async function profileSource(bundle, batchSize, options) {
  const { engines } = await enginesOf(options.ort);
  const names = options.engine === undefined ? engines.map(({ name }) => name) : [options.engine];
  const asked = (/** @type {DeviceProfile} */ found) => ofThreads(narrowed(found, names), options.threads);
  if (options.profile !== undefined) {
    const found = asked(await givenProfile(options.profile, bundle, options.signal));
    return async () => found;
  }
  /** @type {Promise<DeviceProfile> | undefined} */
  let measured;
  return () => {
    // Where it failed, such as for want of memory, the next request tries again.
    measured ??= measuredProfile(bundle, batchSize, options).then(asked);
    measured.catch(() => (measured = undefined));
    return measured;
  };
}

/** @param {object | string | URL} given @param {Bundle} bundle @param {AbortSignal | undefined} signal */
async function givenProfile(given, bundle, signal) {
  const isPlace = typeof given === "string" || given instanceof URL;
  const content = isPlace ? await contentAt(given, signal) : JSON.stringify(given);
  const found = readProfile(content, isPlace ? String(given).slice(0, 200) : "the profile");
  checkFits(found, bundle.manifest);
  return found;
}

/** @param {string | URL} place @param {AbortSignal | undefined} signal */
async function contentAt(place, signal) {
  const text = String(place);
  const [, folder = ".", file = text] = /^(.*)\/([^/]+)$/.exec(text) ?? [];
  try {
    return await (await openFolder(folder, file))(file).read(MOST_BYTES, signal);
  } catch (problem) {
    if (!(problem instanceof EdgeBertError)) throw problem;
    throw new ProfileError(`no profile can be read from ${text.slice(0, 200)}: ${problem.message}`, { cause: problem });
  }
}

/**
 * @param {Bundle} bundle @param {number} batchSize
 * @param {Omit<import("./load.js").LoadOptions, "ort"> & {ort: Runtime | string}} options
 */
async function measuredProfile(bundle, batchSize, { ort, engine, threads, tokenizers, signal, onProgress }) {
  // Only here: who brings a profile never loads what measures one.
  const { profileOf } = await import("../measuring/profiler.js");
  return profileOf(bundle, {
    ort,
    batchSizes: [...new Set([1, batchSize])],
    ...(engine === undefined ? {} : { engines: [engine] }),
    ...(threads === undefined ? {} : { threads: [threads] }),
    tokenizers,
    signal,
    onProgress: (/** @type {any} */ progress) => onProgress?.({ stage: "profile", ...progress }),
  });
}

/** @param {DeviceProfile} found @param {number | undefined} threads @returns {DeviceProfile} */
function ofThreads(found, threads) {
  if (threads === undefined) return found;
  const subnetworks = found.subnetworks.filter(({ way }) => way.threads === threads);
  if (subnetworks.length) return Object.freeze({ ...found, subnetworks });
  throw new ProfileError(`the profile holds nothing measured on ${threads} threads; profile again with threads: [${threads}]`);
}
