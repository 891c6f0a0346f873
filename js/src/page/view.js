/** What the page shows: takes facts, and knows neither the profiler nor the server. */

import { select } from "../choosing/selection.js";
import { BudgetError } from "../errors.js";
import { draw, drawHeat } from "./chart.js";
import { heatOf } from "./heat.js";
import { pointsOf, shapeShown } from "./interim.js";
import { milliseconds, wayInWords } from "./words.js";

/** @typedef {import("../choosing/selection.js").Manifest} Manifest */
/** @typedef {import("../choosing/selection.js").Profile} Profile */

/** @typedef {"waiting" | "measuring" | "paused" | "trouble" | "done" | "failed"} State */

const HEAT_WORDS = { cool: "cool", warm: "warming up", hot: "hot" };
// Of the slider, which has whole steps.
const STEPS = 1000;

/** @template {Element} T @param {string} id @returns {T} */
const byId = (id) => /** @type {any} */ (document.getElementById(id));

/** The page's elements. */
export class View {
  /** @type {Manifest | null} */
  #manifest = null;
  /** @type {Profile | null} */
  #profile = null;
  #isAll = false;

  constructor() {
    byId("budget").addEventListener("input", () => this.#showBudget());
  }

  /** @param {State} state @param {string} headline @param {string} detail */
  status(state, headline, detail) {
    byId("progress").setAttribute("data-state", state);
    byId("headline").textContent = headline;
    byId("detail").textContent = detail;
  }

  /** @param {string} name @param {Manifest} manifest */
  about(name, manifest) {
    this.#manifest = manifest;
    byId("device").textContent = `${name}, with bundle ${manifest.name}`;
  }

  /** @param {number} done @param {number} total @param {string} left */
  progress(done, total, left) {
    const bar = /** @type {HTMLProgressElement} */ (byId("bar"));
    [bar.max, bar.value] = [total, done];
    byId("count").textContent = `${done} of ${total} measurements`;
    byId("left").textContent = left;
    document.title = `${Math.floor((100 * done) / total)} % · edgebert`;
  }

  /** Shows what was read of the device's heat. @param {readonly number[]} readingsMs @param {number} times */
  heat(readingsMs, times) {
    const heat = heatOf(times);
    const chip = byId("heat-word");
    chip.textContent = HEAT_WORDS[heat];
    chip.setAttribute("data-heat", heat);
    byId("heat-times").textContent = `${times.toFixed(2)}x its best time`;
    if (readingsMs.length > 1) drawHeat(byId("heat-line"), readingsMs);
    byId("heat").toggleAttribute("hidden", false);
  }

  /** Says something that stays true, once. @param {string} text */
  note(text) {
    const list = /** @type {Element} */ (byId("notes").firstElementChild);
    if ([...list.children].some((one) => one.textContent === text)) return;
    const item = document.createElement("li");
    item.textContent = text;
    list.append(item);
    byId("notes").toggleAttribute("hidden", false);
  }

  /** Shows what the device can run, as far as that is known. @param {Profile} profile */
  frontier(profile, isAll = false) {
    this.#isAll = isAll;
    if (!this.#manifest || !pointsOf(this.#manifest, profile).length) return;
    this.#profile = profile;
    byId("frontier").toggleAttribute("hidden", false);
    this.#showBudget();
  }

  #showBudget() {
    if (!this.#manifest || !this.#profile) return;
    const [manifest, profile] = [this.#manifest, this.#profile];
    const points = pointsOf(manifest, profile);
    const quality = manifest.subnetworks.find((one) => one.quality)?.quality;
    const metric = quality?.metric ?? "parameters";
    const { batchSize, length } = shapeShown(profile.settings);

    // From below the fastest, which buys nothing, to above the slowest.
    const [low, high] = [points[0].ms * 0.85, points[points.length - 1].ms * 1.15];
    const slider = /** @type {HTMLInputElement} */ (byId("budget"));
    const latencyMs = low * (high / low) ** (Number(slider.value) / STEPS);
    const inWords = milliseconds(latencyMs);
    byId("budget-ms").textContent = inWords;
    slider.setAttribute("aria-valuetext", inWords);
    const many = this.#isAll ? `${points.length} networks` : `${points.length} networks so far`;
    byId("frontier-detail").textContent = `${many}: ${metric} over the time that a text of ${length} tokens takes`;

    const chosen = bought(manifest, profile, { latencyMs, batchSize, length });
    byId("bought").textContent = chosen.headline;
    byId("bought-detail").textContent = chosen.detail;
    const labels = { metric, isShare: Boolean(quality), budgetMs: latencyMs, chosen: chosen.id, length };
    draw(byId("chart"), points, labels);
  }
}

/**
 * Returns what a budget buys by the law, in words.
 *
 * @param {Manifest} manifest @param {Profile} profile
 * @param {{latencyMs: number, batchSize: number, length: number}} budget
 */
export function bought(manifest, profile, budget) {
  try {
    const { subnetwork: id, way, predictedMs, peakMemoryMb, quality } = select(manifest, profile, budget);
    const metric = manifest.subnetworks.find((one) => one.id === id)?.quality?.metric;
    const facts = [
      metric && quality !== null ? `${metric} ${quality.toFixed(3)}` : null,
      predictedMs === null ? null : milliseconds(predictedMs),
      peakMemoryMb === null ? null : `${peakMemoryMb.toFixed(0)} MB`,
      wayInWords(way),
    ];
    return { id, headline: id, detail: facts.filter(Boolean).join(" · ") };
  } catch (problem) {
    if (!(problem instanceof BudgetError)) throw problem;
    const { nearest } = problem;
    const detail = nearest ? `the nearest is ${nearest.subnetwork} with ${milliseconds(nearest.predictedMs)}` : "";
    return { id: null, headline: "nothing", detail };
  }
}
