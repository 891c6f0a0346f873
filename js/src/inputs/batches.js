/** Texts that are answered together: of like length, so that little is padded. */

/** @typedef {import("./tokens.js").Tokens} Tokens */

/**
 * Tokenised texts, the longest last, the place of each in the request, and the length of the longest, in tokens.
 *
 * @typedef {{places: readonly number[], tokens: readonly Tokens[], length: number}} Batch
 */

const LEAST_FULL = 7 / 8; // a shorter text than this share of the longest costs more by its padding than a batch saves

/**
 * Returns the rows of texts in groups of batches of at most so many: a text with several rows is a group of its own.
 *
 * Places count the rows of all texts one after the other.
 *
 * @param {readonly (readonly Tokens[])[]} texts the rows of each
 * @param {number} most
 * @returns {Batch[][]}
 */
export function groupsOf(texts, most) {
  let place = 0;
  const placed = texts.map((rows) => rows.map((tokens) => ({ tokens, place: place++ })));
  const alone = placed.filter((rows) => rows.length === 1).flat();
  const long = placed.filter((rows) => rows.length > 1);
  return [...batchesOf(alone, most).map((batch) => [batch]), ...long.map((rows) => batchesOf(rows, most))];
}

/**
 * Returns batches of at most so many rows, the shortest first, so that the last is of the longest.
 *
 * @param {readonly {tokens: Tokens, place: number}[]} rows
 * @param {number} most
 * @returns {Batch[]}
 */
function batchesOf(rows, most) {
  const inOrder = [...rows].sort((one, other) => lengthOf(one) - lengthOf(other));
  /** @type {{tokens: Tokens, place: number}[][]} */
  const groups = [];
  for (const row of inOrder) {
    const last = groups.at(-1);
    // Against the shortest of the batch, so that padding does not add up over texts that are each a little longer.
    if (last && last.length < most && lengthOf(last[0]) >= LEAST_FULL * lengthOf(row)) last.push(row);
    else groups.push([row]);
  }
  return groups.map((group) => ({
    places: group.map(({ place }) => place),
    tokens: group.map(({ tokens }) => tokens),
    length: lengthOf(group[group.length - 1]),
  }));
}

/** @param {{tokens: Tokens}} row */
function lengthOf({ tokens }) {
  return tokens.ids.length;
}
