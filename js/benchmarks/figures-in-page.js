/** What a tab of figures.js runs. */

import * as ort from "onnxruntime-web/wasm";
import { load, loadBundle, profile } from "../src/index.js";

const [ROUNDS, RUNS, WARM_UP_MS] = [15, 60, 3000];
const TEXT = "A warm, funny and quietly moving film.";

/**
 * Returns by how much an answer takes longer than a bare run of the same inputs in a session of the page, by rounds.
 *
 * @param {string} subnet @param {number} length in tokens
 */
export async function overhead(subnet, length) {
  const bundle = await loadBundle("/bundle");
  const model = await load(bundle, { subnet, threads: 1 });
  const text = Array(length - 2).fill("film").join(" ");

  ort.env.wasm.numThreads = 1;
  const { graph, externalData } = await bundle.openGraph(bundle.subnet(subnet), "fused");
  const session = await ort.InferenceSession.create(graph, { externalData });
  // Any numbers of tokens take the same time.
  const ids = new BigInt64Array(length).fill(2000n);
  const inputs = Object.fromEntries(session.inputNames.map((name) => {
    return [name, new ort.Tensor("int64", name === "input_ids" ? ids : new BigInt64Array(length).fill(1n), [1, length])];
  }));
  const calls = { ours: () => model(text), bare: () => session.run(inputs) };
  for (const call of Object.values(calls)) {
    for (const endMs = performance.now() + WARM_UP_MS; performance.now() < endMs; ) await call();
  }

  const [overheadMs, bareMs] = [[], []].map(() => /** @type {number[]} */ ([]));
  for (let round = 0; round < ROUNDS; round++) {
    const bare = await medianMs(calls.bare);
    overheadMs.push((await medianMs(calls.ours)) - bare);
    bareMs.push(bare);
  }
  await model.dispose();
  return { overheadMs, bareMs };
}

/** @param {() => Promise<unknown>} call */
async function medianMs(call) {
  const times = [];
  for (let run = 0; run < RUNS; run++) {
    const startMs = performance.now();
    await call();
    times.push(performance.now() - startMs);
  }
  return times.sort((one, other) => one - other)[RUNS / 2];
}

/** Returns how many milliseconds the first answer of a network takes, from what is kept. @param {string} subnet */
export async function firstAnswer(subnet) {
  const startMs = performance.now();
  const model = await load("/bundle", { subnet });
  await model(TEXT);
  return performance.now() - startMs;
}

/** Returns how many seconds a profile takes, and the medians in it by what they are of. @param {boolean} quick */
export async function profiled(quick) {
  const startMs = performance.now();
  const found = await profile("/bundle", { quick });
  const seconds = (performance.now() - startMs) / 1000;
  const p50s = found.subnetworks.flatMap(({ id, latency, way: { flavor, threads } }) =>
    latency.map(({ length, p50_ms: ms }) => [`${id} ${flavor} ${threads} ${length}`, ms]));
  return { seconds, p50s };
}
