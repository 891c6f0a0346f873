/** What a tab of peers.js runs: loads one contender and times its answers, the way to them and back included. */

const [WARM_UP, RUNS] = [8, 40];

/**
 * Returns the median latency of an answer to texts of each length, in milliseconds, and which network gave it.
 *
 * @param {string} name @param {number} threads @param {number[]} lengths in tokens
 */
export async function timed(name, threads, lengths) {
  const { call, network } = name === "transformers.js" ? await theirs(threads) : await ours(threads, name.includes("half"));
  const ms = [];
  for (const length of lengths) {
    // "film" is one token, and two stand around the text.
    const text = Array(length - 2).fill("film").join(" ");
    for (let run = 0; run < WARM_UP; run++) await call(text);
    const times = [];
    for (let run = 0; run < RUNS; run++) {
      const startMs = performance.now();
      await call(text);
      times.push(performance.now() - startMs);
    }
    ms.push(times.sort((one, other) => one - other)[RUNS / 2]);
  }
  return { ms, network };
}

/** @param {number} threads */
async function theirs(threads) {
  const address = "/transformers/transformers.min.js"; // not for the type checker
  const { pipeline, env } = await import(address);
  env.allowRemoteModels = false;
  env.localModelPath = "/models/";
  env.backends.onnx.wasm.wasmPaths = "/transformers/";
  env.backends.onnx.wasm.numThreads = threads;
  const classify = await pipeline("text-classification", "model", { device: "wasm", dtype: "q8" });
  return { call: classify, network: "" };
}

/** @param {number} threads @param {boolean} isHalf */
async function ours(threads, isHalf) {
  const { load, loadBundle, profileOf } = await import("../src/index.js");
  const ort = new URL("/ort/ort.wasm.min.mjs", location.href);
  const bundle = await loadBundle("/bundle/");
  const largest = bundle.manifest.subnetworks.reduce((one, other) => (other.parameters > one.parameters ? other : one));
  if (!isHalf) return { call: await load(bundle, { ort, threads, subnet: largest.id }), network: largest.id };
  const profile = await profileOf(bundle, { ort, threads: [threads] });
  const full = profile.subnetworks.find(({ id }) => id === largest.id)?.latency.at(-1);
  const model = await load(bundle, { ort, profile, threads, adaptive: false, latencyMs: (full?.p95_ms ?? 0) / 2 });
  return { call: model, network: model.subnet.id };
}
