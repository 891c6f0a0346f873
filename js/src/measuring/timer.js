/** How finely this page's clock tells the time: browsers make it coarse, from 0.005 to 1 ms. */

/** @typedef {import("../engines/session-network.js").Inputs} Inputs */
/** @typedef {import("../engines/session-network.js").Network} Network */

/** So many steps of the clock a sample must take, so that a step is 2 % of it. */
export const STEPS = 50;
// From so many on it is known how many runs make a sample.
const FEW_STEPS = 10;
const MORE = 4;
const CHANGES = 20;
const MOST_MS = 50;
// No clock tells finer times than are kept.
const LEAST_MS = 1e-4;

/** Returns the step of the clock in milliseconds: the least time that it shows to have gone by. */
export function timerStepMs(clock = () => performance.now()) {
  const startMs = clock();
  let lastMs = startMs;
  let leastMs = MOST_MS;
  for (let changes = 0; changes < CHANGES && lastMs - startMs < MOST_MS;) {
    const nowMs = clock();
    if (nowMs === lastMs) continue;
    leastMs = Math.min(leastMs, nowMs - lastMs);
    lastMs = nowMs;
    changes++;
  }
  return Math.max(LEAST_MS, Math.round(leastMs * 1e4) / 1e4);
}

/**
 * Returns how many runs of each request make a sample: one, or where that is too short for the clock so many that a
 * sample takes 50 of its steps.
 *
 * @param {Network} network @param {readonly Inputs[]} requests @param {number} stepMs
 */
export async function runsPerSample(network, requests, stepMs) {
  const found = requests.map(() => 1);
  const bySize = [...requests.keys()].sort((one, other) => sizeOf(requests[one]) - sizeOf(requests[other]));
  for (const place of bySize) {
    const { ms } = await network.run(requests[place]);
    // Larger ones take longer.
    if (ms >= STEPS * stepMs) break;
    found[place] = await runsOf(network, requests[place], stepMs);
  }
  return found;
}

/** Returns how many tokens a request has. @param {Inputs} request */
export function sizeOf(request) {
  return request.input_ids.data.length;
}

/** @param {Network} network @param {Inputs} request @param {number} stepMs */
async function runsOf(network, request, stepMs) {
  for (let runs = 1; ; runs *= MORE) {
    const [[ms]] = await network.time([request], { minRuns: 1, minSeconds: 0, runsPerSample: [runs] });
    const steps = (ms * runs) / stepMs;
    if (steps >= FEW_STEPS) return Math.ceil((runs * STEPS) / Math.min(steps, STEPS));
  }
}
