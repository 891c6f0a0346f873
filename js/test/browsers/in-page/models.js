/** Loads models as an app does, and tells what came of it. */

import { EdgeBertError, load, loadBundle } from "../../../src/index.js";

/**
 * Returns for each sub-network its answers, and on how many threads it ran.
 *
 * @param {string[]} texts @param {number} [threads]
 */
export async function answersOfAll(texts, threads) {
  const bundle = await loadBundle("/bundle");
  const { subnetworks } = bundle.manifest;
  const left = [...subnetworks];
  /** @type {Map<string, {answers: unknown, threads: number}>} */
  const found = new Map();
  const answerRest = async () => {
    for (let one = left.shift(); one; one = left.shift()) {
      const model = await load(bundle, { subnet: one.id, ...(threads ? { threads } : {}) });
      found.set(one.id, { answers: await model(texts), threads: model.selection.way.threads });
      await model.dispose();
    }
  };
  // Two at once, which takes less time.
  await Promise.all([answerRest(), answerRest()]);
  const networks = Object.fromEntries(subnetworks.map(({ id }) => [id, found.get(id)]));
  return { networks, isIsolated: crossOriginIsolated, cores: navigator.hardwareConcurrency };
}

/** Returns how long the first answer took, from nothing but what is kept. @param {string} subnet @param {string} text */
export async function firstAnswer(subnet, text) {
  const startMs = performance.now();
  const model = await load("/bundle", { subnet });
  const [answer] = await model(text);
  const ms = performance.now() - startMs;
  await model.dispose();
  return { ms, label: answer.label };
}

/** @type {import("../../../src/serving/predictor.js").Model | undefined} */
let kept;

/** Loads a model that stays, and answers. @param {string} subnet @param {string} text */
export async function keep(subnet, text) {
  kept = await load("/bundle", { subnet });
  return kept(text);
}

/** Answers with the model that stayed. @param {string} text */
export async function ask(text) {
  return kept?.(text);
}

/** Says what loading comes to where it is refused. @param {import("../../../src/serving/load.js").LoadOptions} options */
export async function refusal(options) {
  return load("/bundle", options).then(() => "nothing is refused", said);
}

/** @param {import("../../../src/serving/load.js").LoadOptions} options */
export async function refusalWithoutSimd(options) {
  WebAssembly.validate = () => false;
  return refusal(options);
}

/** Ends loading when its Worker has begun, and says what that comes to. @param {string} subnet */
export async function aborted(subnet) {
  const control = new AbortController();
  const onProgress = (/** @type {any} */ { file }) => file?.endsWith(".bin") && control.abort();
  return load("/bundle", { subnet, signal: control.signal, onProgress }).then(() => "not ended", (one) => one?.name);
}

/**
 * Returns how much the page and its Workers took before a model was loaded, with it, and after it was disposed of, in
 * megabytes, or nothing where the browser does not say. @param {string} subnet @param {string} text
 */
export async function memory(subnet, text) {
  const measure = /** @type {any} */ (performance).measureUserAgentSpecificMemory?.bind(performance);
  if (!measure) return null;
  const bundle = await loadBundle("/bundle");
  const takesMb = async () => (await measure()).bytes / 1e6;
  const once = async () => {
    const model = await load(bundle, { subnet });
    await model(text);
    const withMb = await takesMb();
    await model.dispose();
    // Chromium waits for a minute for the answer of a Worker that was ended just now.
    await new Promise((done) => setTimeout(done, 1000));
    return withMb;
  };
  // The first time code is read, too, which stays.
  await once();
  const beforeMb = await takesMb();
  const withMb = await once();
  return { beforeMb, withMb, afterMb: await takesMb() };
}

/** @param {any} problem */
function said(problem) {
  return `${problem instanceof EdgeBertError ? problem.name : `not ours, ${problem?.name}`}: ${problem?.message}`;
}
