/**
 * What profile.json says: what each sub-network of a bundle costs on one device.
 *
 * All that a choice is made of is checked, and the device if this side of edgebert described it. What else tells people
 * of the machine and of how quiet it was is passed on.
 */

import { ProfileError } from "../errors.js";
import { MAX_LENGTH, flavor } from "./manifest.js";
import {
  decode,
  flag,
  integer,
  line,
  list,
  listed,
  mapOf,
  nullable,
  number,
  object,
  oneOf,
  positive,
  quoted,
  record,
  refuse,
  sha256,
} from "./records.js";

const VERSION = 5;
const MAX_THREADS = 1024;
// Of those that are worth it none has more than one.
const MAX_THREADS_PER_CORE = 8;

/**
 * The engines of edgebert in JavaScript: the one device of each, and its flavors. They have no options.
 * @type {Readonly<Record<string, {device: string, flavors: readonly string[]}>>}
 */
export const ENGINES = Object.freeze({
  wasm: { device: "CPU", flavors: ["fused", "portable"] },
  webgpu: { device: "GPU", flavors: ["portable"] },
  node: { device: "CPU", flavors: ["fused", "portable"] },
});
const LANGUAGES = /** @type {const} */ ({ python: "Python", javascript: "JavaScript" });

const count = integer(1);
const natural = integer(0);
const notNegative = number(0);

/** @typedef {ReturnType<typeof latency>} Latency */
/** @typedef {ReturnType<typeof way>} Way */
/** @typedef {ReturnType<typeof profiledSubnet>} ProfiledSubnet */
/** @typedef {ReturnType<typeof javaScriptDevice>} JavaScriptDevice */
/** @typedef {ReturnType<typeof profile>} DeviceProfile */

const javaScriptDevice = record({
  runtime: oneOf("javascript"),
  name: line,
  user_agent: line,
  cores: nullable(count),
  memory_gb: nullable(positive),
  gpu: nullable(line),
  isolated: flag,
  timer_step_ms: positive,
  fingerprint: sha256,
});

/**
 * What Python says of a machine is for people alone, and passed on.
 * @type {import("./records.js").Check<JavaScriptDevice | Readonly<Record<string, unknown> & {runtime: "python"}>>}
 */
const device = (value, path) => {
  const { runtime } = object(value, path);
  if (runtime === "javascript") return javaScriptDevice(value, path);
  oneOf("python", "javascript")(runtime, `${path}.runtime`);
  return value;
};

const settings = record(
  {
    lengths: list(integer(2, MAX_LENGTH), 1),
    batch_sizes: list(integer(1, 1024), 1),
    min_rounds: count,
    min_runs: count,
    min_seconds: notNegative,
    max_seconds: notNegative,
    interval_share: positive,
    requests_per_s: nullable(positive),
    emulated: nullable(object),
  },
  ({ lengths, batch_sizes: sizes }, path) => {
    for (const values of [lengths, sizes]) {
      const ascend = values.every((value, place) => place === 0 || value > values[place - 1]);
      if (!ascend) refuse(`expected numbers in ascending order, each once, found ${values.join(", ")}`, path);
    }
  },
);

const way = record({
  engine: line,
  device: line,
  flavor,
  threads: integer(1, MAX_THREADS),
  options: list(list(line, 2, 2)),
});

const latency = record(
  {
    batch_size: count,
    length: count,
    runs: count,
    runs_per_sample: count,
    p50_ms: positive,
    p90_ms: positive,
    p95_ms: positive,
    p99_ms: positive,
    p50_ci95_ms: list(positive, 2, 2),
  },
  ({ runs, runs_per_sample: least, p50_ms: p50, p90_ms: p90, p95_ms: p95, p99_ms: p99, p50_ci95_ms: ends }, path) => {
    const [low, high] = ends;
    if (runs < least) refuse(`expected at least the ${least} runs of one sample, found ${runs}`, path);
    checkAscending("p50_ms, p90_ms, p95_ms and p99_ms", [p50, p90, p95, p99], path);
    checkAscending("p50_ms within its interval", [low, p50, high], path);
  },
);

const profiledSubnet = record(
  {
    id: line,
    way,
    load_ms: notNegative,
    first_ms: notNegative,
    new_shape_ms: notNegative,
    peak_memory_mb: nullable(notNegative),
    steady_memory_mb: nullable(notNegative),
    private_memory_mb: nullable(notNegative),
    numerics_ok: flag,
    numerics: record({ drift: notNegative, tolerance: notNegative, wrong_answers: natural }),
    pad_to: list(natural),
    latency: list(latency, 1),
  },
  (found, path) => {
    checkMemory([found.private_memory_mb, found.steady_memory_mb, found.peak_memory_mb], path);
    const { drift: off, tolerance, wrong_answers: wrong } = found.numerics;
    const isRight = off <= tolerance && wrong === 0;
    if (found.numerics_ok && !isRight) {
      refuse(`expected right numerics, found outputs ${off} off, ${tolerance} allowed, ${wrong} answers wrong`, path);
    }
  },
);

const leftOut = record({ id: line, way, reason: line });

const profile = record(
  {
    schema_version: oneOf(VERSION),
    bundle_sha256: sha256,
    created_at: line,
    edgebert_version: line,
    engine_versions: mapOf(line),
    device,
    settings,
    subnetworks: list(profiledSubnet, 1),
    left_out: list(leftOut),
    stability: object,
  },
  (found) => {
    checkEngines(found);
    checkWays(found);
    found.subnetworks.forEach((entry, place) => checkEntry(entry, found, `$.subnetworks[${place}]`));
  },
);

/** @param {string} what @param {number[]} values @param {string} path */
function checkAscending(what, values, path) {
  const ascend = values.every((value, place) => place === 0 || value >= values[place - 1]);
  if (!ascend) refuse(`expected ${what} in ascending order, found ${values.join(", ")}`, path);
}

/** Refuses memory that is known in part. @param {(number | null)[]} memoryMb @param {string} path */
function checkMemory(memoryMb, path) {
  const known = memoryMb.filter((mb) => mb !== null);
  if (known.length && known.length < memoryMb.length) {
    refuse(`expected private, steady and peak memory_mb or null for all three, found ${memoryMb.join(", ")}`, path);
  }
  checkAscending("private, steady and peak memory_mb", known, path);
}

/**
 * Refuses engines of another runtime than the device's.
 * @param {Pick<DeviceProfile, "device" | "engine_versions">} found
 */
function checkEngines({ device: { runtime }, engine_versions: versions }) {
  const stranger = Object.keys(versions).find((name) => Object.hasOwn(ENGINES, name) !== (runtime === "javascript"));
  if (stranger === undefined) return;
  refuse(`expected engines of edgebert in ${LANGUAGES[runtime]}, found ${quoted(stranger)}`, "$.engine_versions");
}

/** @param {Pick<DeviceProfile, "subnetworks" | "left_out" | "device">} found */
function checkWays({ subnetworks, left_out: others, device: measuredOn }) {
  const known = new Set();
  for (const [name, entries] of Object.entries({ subnetworks, left_out: others })) {
    entries.forEach((one, place) => {
      const { engine, device: part, flavor: form, threads, options } = one.way;
      const key = JSON.stringify([one.id, engine, part, form, threads, options]);
      const path = `$.${name}[${place}]`;
      if (known.has(key)) refuse(`expected each sub-network in each way once, found ${nameOf(one)} again`, path);
      known.add(key);
      checkWay(one.way, measuredOn, `${path}.way`);
    });
  }
}

/**
 * Refuses a way in which nothing was run on a device. Of Python's engines only those of this side are no such.
 * @param {Way} found @param {DeviceProfile["device"]} on @param {string} path
 */
function checkWay({ engine, device: part, flavor: form, threads, options }, on, path) {
  const ours = Object.hasOwn(ENGINES, engine) ? ENGINES[engine] : null;
  const found = `found ${quoted(engine)} on ${quoted(part)}, ${form}, with ${options.length} options`;
  if (on.runtime === "python") {
    if (ours) refuse(`expected an engine that Python has, ${found}`, path);
    return;
  }
  const isKnown = ours?.device === part && ours.flavors.includes(form) && options.length === 0;
  if (!isKnown) refuse(`expected a way of ${listed(Object.keys(ENGINES))}, ${found}`, path);
  const most = MAX_THREADS_PER_CORE * (on.cores ?? MAX_THREADS);
  if (threads > most) refuse(`expected at most ${most} threads on ${on.cores} cores, found ${threads}`, path);
}

/** @param {{id: string, way: Way}} one */
function nameOf({ id, way: { engine, flavor: form, threads } }) {
  return `${id} (${engine}, ${form}, ${threads} ${threads === 1 ? "thread" : "threads"})`;
}

/**
 * Refuses an entry that lacks what the settings say was measured.
 * @param {ProfiledSubnet} entry @param {Pick<DeviceProfile, "settings" | "engine_versions">} whole @param {string} path
 */
function checkEntry(entry, { settings: { lengths, batch_sizes: sizes, min_runs: least }, engine_versions }, path) {
  if (!Object.hasOwn(engine_versions, entry.way.engine)) {
    refuse(`expected an engine of engine_versions, found ${entry.way.engine}`, `${path}.way.engine`);
  }
  if (entry.pad_to.length && entry.pad_to.join() !== lengths.join()) {
    refuse(`expected no lengths or those of the settings, found ${entry.pad_to.join(", ")}`, `${path}.pad_to`);
  }
  const expected = sizes.flatMap((size) => lengths.map((length) => `${size} x ${length}`)).join(", ");
  const found = entry.latency.map((row) => `${row.batch_size} x ${row.length}`).join(", ");
  if (found !== expected) refuse(`expected the latencies of ${expected}, found those of ${found}`, `${path}.latency`);
  entry.latency.forEach(({ runs }, place) => {
    if (runs < least) refuse(`expected at least ${least} runs, found ${runs}`, `${path}.latency[${place}].runs`);
  });
}

/**
 * Returns what a profile.json says; `name` is what messages call it.
 *
 * Throws a ProfileError for another version, a key or value that cannot be, and values that contradict each other.
 * @param {Uint8Array | string} content @returns {DeviceProfile}
 */
export function readProfile(content, name = "the profile") {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return decode(bytes, profile, VERSION, name, ProfileError);
}

/**
 * Checks that a profile is of a bundle: of its hash, with sub-networks, flavors and lengths that it has.
 *
 * Throws a ProfileError if it is not.
 * @param {DeviceProfile} found @param {import("./manifest.js").Manifest} manifest
 */
export function checkFits(found, manifest, name = "the profile") {
  const advice = "profile this bundle";
  if (found.bundle_sha256 !== manifest.sha256) {
    const was = `expected bundle ${manifest.sha256.slice(0, 12)}, found ${found.bundle_sha256.slice(0, 12)}`;
    throw new ProfileError(`${name} is of another bundle (${was}); ${advice}`);
  }
  const longest = Math.max(...found.settings.lengths);
  if (longest > manifest.max_length) {
    const what = `expected at most ${manifest.max_length} tokens, found ${longest} at $.settings.lengths`;
    throw new ProfileError(`${name}: ${what}; ${advice}`);
  }
  found.subnetworks.forEach(({ id, way: { flavor: form } }, place) => {
    const graphs = manifest.subnetworks.find((subnet) => subnet.id === id)?.graphs ?? {};
    if (Object.hasOwn(graphs, form)) return;
    const what = `expected a graph of bundle ${quoted(manifest.name)}, found ${quoted(id)}, ${form}`;
    throw new ProfileError(`${name}: ${what} at $.subnetworks[${place}]; ${advice}`);
  });
}

/**
 * Returns a profile with only what was measured on engines that this runtime has, such as "wasm".
 *
 * Throws a ProfileError if there is nothing: what another runtime measured says nothing of this one.
 * @param {DeviceProfile} found @param {readonly string[]} engines @returns {DeviceProfile}
 */
export function narrowed(found, engines, name = "the profile") {
  const isHere = (/** @type {{way: Way}} */ one) => engines.includes(one.way.engine);
  const subnetworks = Object.freeze(found.subnetworks.filter(isHere));
  if (!subnetworks.length) {
    const { device: on } = found;
    const where = on.runtime === "javascript" ? ` on ${on.name}` : "";
    const versions = listed(Object.entries(found.engine_versions).map((one) => one.join(", ")));
    const was = `by edgebert in ${LANGUAGES[on.runtime]}${where} with ${versions}`;
    throw new ProfileError(`${name} was measured ${was}; expected ${listed(engines)}: profile in this runtime`);
  }
  return Object.freeze({ ...found, subnetworks, left_out: Object.freeze(found.left_out.filter(isHere)) });
}
