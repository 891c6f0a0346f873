/** What a tab of peers.js runs: loads one contender and times its answers, the way to them and back included. */

import { loadPeer, loadPeerInWorker } from "./peer.js";

// Browsers compile WebAssembly once more, for speed, while it runs.
const WARM_UP_MS = 8000;
const RUNS = 40;
const ORT = new URL("/ort/ort.wasm.min.mjs", location.href);

/**
 * Returns the median latency of an answer to texts of each length, in milliseconds: of one of our networks, or of
 * transformers.js, on the page or in a Worker.
 *
 * @param {string} network @param {number} threads @param {number[]} lengths in tokens
 */
export async function timed(network, threads, lengths) {
  const peers = { page: loadPeer, worker: loadPeerInWorker };
  const call = await (peers[/** @type {keyof typeof peers} */ (network)]?.(threads) ?? ours(network, threads));
  // "film" is one token, and two stand around the text.
  const texts = lengths.map((length) => Array(length - 2).fill("film").join(" "));
  for (const endMs = performance.now() + WARM_UP_MS; performance.now() < endMs; ) {
    for (const text of texts) await call(text);
  }
  const ms = [];
  for (const text of texts) {
    const times = [];
    for (let run = 0; run < RUNS; run++) {
      const startMs = performance.now();
      await call(text);
      times.push(performance.now() - startMs);
    }
    ms.push(times.sort((one, other) => one - other)[RUNS / 2]);
  }
  return ms;
}

/**
 * Returns the names of our largest network and of the best one that answers in half of its time, by a quick profile.
 *
 * @param {number} threads
 */
export async function chosen(threads) {
  const { load, loadBundle, profileOf } = await import("../src/index.js");
  const bundle = await loadBundle("/bundle/");
  const largest = bundle.manifest.subnetworks.reduce((one, other) => (other.parameters > one.parameters ? other : one)).id;
  const profile = await profileOf(bundle, { ort: ORT, threads: [threads] });
  const full = profile.subnetworks.find(({ id }) => id === largest)?.latency.at(-1);
  const model = await load(bundle, { ort: ORT, profile, threads, adaptive: false, latencyMs: (full?.p95_ms ?? 0) / 2 });
  return [largest, model.subnet.id];
}

/** @param {string} subnet @param {number} threads */
async function ours(subnet, threads) {
  const { load } = await import("../src/index.js");
  return load("/bundle/", { ort: ORT, threads, subnet });
}
