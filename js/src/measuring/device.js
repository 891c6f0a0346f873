/** What device this is, as far as a browser or Node shows it. */

import { hasThreads } from "../engines/web.js";
import { sha256Of } from "../inputs/hashing.js";
import { timerStepMs } from "./timer.js";

/** @typedef {Awaited<ReturnType<typeof thisDevice>>} JavaScriptDevice */

const MOST_CHARACTERS = 300;

/**
 * What is shown of a device; `lasting` is its name without the versions that change.
 *
 * @typedef {object} Shown
 * @property {string} name
 * @property {readonly string[]} lasting
 * @property {string} userAgent
 * @property {number | null} cores
 * @property {number | null} memoryGb
 * @property {string | null} gpu
 */

/**
 * Returns the device as profile.json holds it.
 *
 * Its fingerprint is made of what stays from visit to visit: the versions of the browser and the system do not.
 */
export async function thisDevice() {
  const isNode = Boolean(globalThis.process?.versions?.node);
  const { name, lasting, userAgent, cores, memoryGb, gpu } = await (isNode ? shownByNode() : shownByBrowser());
  const isolated = hasThreads();
  // A page that is not isolated has one thread only: what was measured there is not true of one that is.
  const identity = JSON.stringify([lasting, cores, memoryGb, gpu, isolated]);
  return {
    runtime: /** @type {const} */ ("javascript"),
    name: lineOf(name),
    user_agent: lineOf(userAgent),
    cores,
    memory_gb: memoryGb,
    gpu: gpu && lineOf(gpu),
    isolated,
    timer_step_ms: timerStepMs(),
    fingerprint: await sha256Of(new TextEncoder().encode(identity)),
  };
}

/** @returns {Promise<Shown>} */
async function shownByNode() {
  const { arch, platform, version } = globalThis.process;
  const os = await import(/* webpackIgnore: true */ /* @vite-ignore */ BUILTIN.os);
  const name = os.cpus()[0]?.model.trim() || `${platform} ${arch}`;
  return {
    name,
    lasting: [name, platform, arch],
    userAgent: `Node.js ${version} on ${platform} ${arch}`,
    cores: os.availableParallelism?.() ?? os.cpus().length,
    memoryGb: Math.round(os.totalmem() / 1e8) / 10,
    gpu: null,
  };
}

// Not by its plain name, which bundlers for browsers would look for.
const BUILTIN = { os: "node:os" };

/** @returns {Promise<Shown>} */
async function shownByBrowser() {
  const { userAgent, hardwareConcurrency, deviceMemory, userAgentData } = /** @type {any} */ (globalThis.navigator);
  const gpu = await gpuName();
  const hints = await userAgentData?.getHighEntropyValues?.(["model", "platformVersion"]).catch(() => undefined);
  return {
    ...(hints ? namesByHints(hints) : namesByUserAgent(userAgent)),
    userAgent,
    cores: hardwareConcurrency ?? null,
    memoryGb: deviceMemory ?? null,
    gpu,
  };
}

/**
 * Returns what WebGPU's adapter is called, null where there is none.
 *
 * @returns {Promise<string | null>}
 */
async function gpuName() {
  try {
    const adapter = await /** @type {any} */ (globalThis.navigator).gpu?.requestAdapter();
    const { vendor, architecture, description } = adapter?.info ?? {};
    return [vendor, description || architecture].filter(Boolean).join(" ") || (adapter ? "unnamed" : null);
  } catch {
    return null;
  }
}

/**
 * Returns what a browser is called by the hints that it gives, also without versions.
 *
 * @typedef {{brand: string, version: string}} Brand
 * @param {{brands?: Brand[], platform?: string, platformVersion?: string, model?: string}} hints
 */
export function namesByHints({ brands = [], platform = "", platformVersion = "", model = "" }) {
  // Beside the browser's own name stand that of what it is made of, and one that is made up.
  const real = brands.filter(({ brand }) => !/not.a.?brand/i.test(brand.replace(/[^a-z]/gi, "_")));
  const { brand = "a browser", version } = real.find((one) => one.brand !== "Chromium") ?? real[0] ?? {};
  const major = Number.parseInt(platformVersion, 10);
  const system = [platform, major > 0 ? major : ""].filter(Boolean).join(" ");
  return { name: nameOf([brand, version, system && `on ${system}`], model), lasting: [brand, platform, model] };
}

/** The browsers and systems that name themselves, those first that name others too. */
const BROWSERS = ["Firefox", "FxiOS", "EdgiOS", "Edg", "CriOS", "OPR", "SamsungBrowser", "Chrome", "Version"];
const CALLED = { Version: "Safari", Edg: "Edge", EdgiOS: "Edge", OPR: "Opera", FxiOS: "Firefox", CriOS: "Chrome" };
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS X", "CrOS", "Linux"];
const VERSIONS = /(?<=\/|rv:|Android |OS |OS X |NT )\d[\w.]*/g;

/** Returns what a browser is called by its user agent, also without versions. @param {string} userAgent */
export function namesByUserAgent(userAgent) {
  const browser = BROWSERS.find((one) => userAgent.includes(`${one}/`)) ?? "a browser";
  const version = userAgent.split(`${browser}/`)[1]?.match(/^\d+/)?.[0];
  const called = CALLED[/** @type {keyof typeof CALLED} */ (browser)] ?? browser;
  const system = SYSTEMS.find((one) => userAgent.includes(one));
  return {
    name: nameOf([called, version, system && `on ${system}`], ""),
    lasting: [userAgent.replace(VERSIONS, "")],
  };
}

/** @param {(string | undefined)[]} words @param {string} model */
function nameOf(words, model) {
  return [words.filter(Boolean).join(" "), model].filter(Boolean).join(", ");
}

/** Returns a text on one line, of a long one the beginning: a name comes from outside. @param {string} text */
export function lineOf(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ").trim().slice(0, MOST_CHARACTERS);
}
