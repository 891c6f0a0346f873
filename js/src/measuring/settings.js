/** How a profile is measured: the shapes of the requests, how often, and how exactly. */

import { ProfileError } from "../errors.js";

/** @typedef {import("../inputs/profile.js").DeviceProfile["settings"]} ProfileSettings */

/**
 * The shape of a request.
 *
 * @typedef {{batchSize: number, length: number}} Shape
 */

const DEFAULT_LENGTHS = [16, 64, 128];
// The special tokens around an empty text.
const MIN_LENGTH = 2;
const MAX_BATCH_SIZE = 1024;

/**
 * Returns how a bundle is profiled, exactly or in a quick way.
 *
 * Without `lengths`, 16, 64 and 128 tokens as far as the bundle takes them, and its longest input.
 *
 * @param {{max_length: number}} manifest
 * @param {{lengths?: readonly number[] | undefined, batchSizes?: readonly number[] | undefined, quick?: boolean}} asked
 * @returns {ProfileSettings}
 * @throws {ProfileError} a length or batch size that cannot be measured
 */
export function settingsFor({ max_length: longest }, { lengths, batchSizes = [1], quick = false } = {}) {
  const usual = [...DEFAULT_LENGTHS.filter((length) => length < longest), longest];
  // For the twelve sub-networks of the built-in bundle in a browser on two cores about 10 and 100 s.
  return {
    lengths: checked("length", lengths?.length ? lengths : usual, MIN_LENGTH, longest),
    batch_sizes: checked("batch size", batchSizes, 1, MAX_BATCH_SIZE),
    min_rounds: quick ? 1 : 3,
    min_runs: quick ? 10 : 20,
    min_seconds: quick ? 0.05 : 0.3,
    max_seconds: quick ? 0.5 : 3,
    interval_share: 0.02,
    requests_per_s: null,
    emulated: null,
  };
}

/**
 * Returns all shapes of a request: every batch size with every length.
 *
 * @param {Pick<ProfileSettings, "lengths" | "batch_sizes">} settings
 * @returns {Shape[]}
 */
export function shapesOf({ lengths, batch_sizes: sizes }) {
  return sizes.flatMap((batchSize) => lengths.map((length) => ({ batchSize, length })));
}

/** @param {string} word @param {readonly number[]} values @param {number} least @param {number} most */
function checked(word, values, least, most) {
  const wrong = values.find((value) => !(Number.isInteger(value) && value >= least && value <= most));
  if (values.length && wrong === undefined) return [...new Set(values)].sort((one, other) => one - other);
  throw new ProfileError(`expected a ${word} of ${least} to ${most}, found ${wrong ?? "none"}; choose one of these`);
}
