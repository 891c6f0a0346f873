/**
 * A fixed workload that tells how fast the device is at the moment, apart from the networks that are measured.
 *
 * It does the same on every device and for every bundle. It is slower when another program takes the core, and when the
 * clock goes down. Knows neither pages nor networks, so that a Worker can run it too.
 */

import { STEPS } from "./timer.js";

const WORDS = 1 << 12;
// About 10 ms on a desktop's core: shorter, and the system would run it before another program gets its turn.
const PASSES = 1600;
const ABOUT_MS = 10;
// Of these the faster counts: any one may be late for no lasting reason.
const RUNS = 2;
// Until it is compiled as well as it ever will be.
const WARM_UP = 5;

const words = new Uint32Array(WORDS);
let isWarm = false;

/**
 * Runs the workload and returns how long it took, in milliseconds: the better of two.
 *
 * @param {number} stepMs the step of the clock; where that is coarse, the workload is run several times in a row
 */
export function canaryMs(stepMs, clock = () => performance.now()) {
  const times = Math.max(1, Math.ceil((STEPS * stepMs) / ABOUT_MS));
  if (!isWarm) for (let run = 0; run < WARM_UP; run++) work();
  isWarm = true;

  let leastMs = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const startMs = clock();
    for (let time = 0; time < times; time++) work();
    leastMs = Math.min(leastMs, (clock() - startMs) / times);
  }
  // Where the clock did not move at all it is still more than nothing.
  return Math.max(leastMs, stepMs / times);
}

/** Mixes some words over and over, in the first cache: Marsaglia's xorshift (2003), and a product. */
function work() {
  let state = 1;
  for (let pass = 0; pass < PASSES; pass++) {
    for (let place = 0; place < WORDS; place++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[place] = Math.imul(words[place], 31) + state;
    }
  }
  return words[0];
}
