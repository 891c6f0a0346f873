/** A budget picks the network while one types. All that edgebert does here is in `start` and `answer`. */

import { BudgetError, load, loadBundle, profile as measure, profileOf } from "./edgebert/index.js";
import { draw, drawFrontier, drawNetwork } from "./pictures.js";

const ORT = new URL("ort/ort.wasm.min.mjs", import.meta.url);
const BUNDLE = new URL("bundle/", import.meta.url);

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

let [model, profile] = [null, null];
let isBusy = false;
let isWaiting = false;

async function start({ again = false } = {}) {
  element("demo").hidden = true;
  element("progress").hidden = false;
  const bundle = await loadBundle(BUNDLE);
  await model?.dispose();
  // What each network costs here: measured once, and kept by the browser.
  const options = { ort: ORT, onProgress: showProfiling };
  profile = await (again ? measure(bundle, { ...options, quick: true }) : profileOf(bundle, options));
  say("loading the networks ...");
  const slowest = Math.max(...profile.subnetworks.map((entry) => entry.latency.at(-1).p95_ms));
  model = await load(bundle, { ort: ORT, profile, latencyMs: 2 * slowest });

  const { name, isolated } = profile.device;
  element("device").textContent = `${name}${isolated ? "" : "; this page is not isolated, so networks run on 1 thread"}`;
  element("progress").hidden = true;
  element("demo").hidden = false;
  say("Drag the budget, or type: each answer comes from the best network that keeps it.");
  await answer();
}

/** Answers what stands in the page now; while an answer is being made, the last wish counts. */
async function answer() {
  isWaiting = isBusy;
  if (isBusy || !element("text").value.trim()) return;
  isBusy = true;
  const [text, latencyMs] = [element("text").value, budgetMs()];
  element("budget-ms").textContent = `${latencyMs.toPrecision(2)} ms`;
  try {
    const before = answeredBy();
    const startMs = performance.now();
    const scores = await model(text, { latencyMs, topK: null });
    const tookMs = performance.now() - startMs;
    const id = [...answeredBy()].find(([name, texts]) => texts !== before.get(name))?.[0];
    showAnswer(scores, id, tookMs, latencyMs);
  } catch (problem) {
    if (!(problem instanceof BudgetError)) throw problem;
    showMiss(problem.nearest, latencyMs);
  } finally {
    isBusy = false;
  }
  if (isWaiting) await answer();
}

function answeredBy() {
  return new Map(Object.entries(model.stats().subnetworks).map(([name, { texts }]) => [name, texts]));
}

/** The slider goes from below the fastest network to above the slowest, each step a share more. */
function budgetMs() {
  const all = profile.subnetworks.flatMap((entry) => entry.latency.map((row) => row.p95_ms));
  const [low, high] = [0.5 * Math.min(...all), 1.5 * Math.max(...all)];
  return low * (high / low) ** Number(element("budget").value);
}

function showAnswer(scores, id, tookMs, latencyMs) {
  const positive = scores.find(({ label }) => label === "positive").score;
  element("score").value = positive;
  element("positive").classList.toggle("is-answer", positive >= 0.5);
  element("negative").classList.toggle("is-answer", positive < 0.5);
  element("took").textContent = `${tookMs.toFixed(1)} ms ${tookMs <= latencyMs ? "of" : "instead of"} ${latencyMs.toPrecision(2)} ms`;
  showNetwork(id, latencyMs);
}

function showMiss(nearest, latencyMs) {
  element("score").value = 0.5;
  for (const side of ["positive", "negative"]) element(side).classList.remove("is-answer");
  const need = nearest ? `; the fastest that there is takes up to ${nearest.predictedMs.toFixed(1)} ms` : "";
  element("took").textContent = `Nothing here is that fast${need}.`;
  showNetwork(null, latencyMs);
}

function showNetwork(id, latencyMs) {
  const { subnetworks } = model.bundle.manifest;
  const subnet = subnetworks.find((one) => one.id === id);
  const tokens = model.countTokens(element("text").value);
  draw(element("network"), drawNetwork(subnet, subnetworks));
  draw(element("frontier"), drawFrontier(profile, subnetworks, tokens, latencyMs, id));
  const quality = subnet?.quality ? `, ${(100 * subnet.quality.value).toFixed(1)} % right` : "";
  const size = subnet ? `${subnet.id}: ${(subnet.parameters / 1e6).toFixed(1)} M parameters${quality}` : "no network";
  element("network-name").textContent = size;
}

function showProfiling({ done, total, subnet }) {
  element("progress").value = done / total;
  say(`measuring each network on this device, once: ${subnet}`);
}

/** @param {string} line */
function say(line) {
  element("state").textContent = line;
}

function fail(problem) {
  say(`This does not work here: ${problem.message}`);
}

element("text").addEventListener("input", () => answer().catch(fail));
element("budget").addEventListener("input", () => answer().catch(fail));
element("again").addEventListener("click", () => start({ again: true }).catch(fail));
start().catch(fail);
