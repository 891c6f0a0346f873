/** What users of this package can catch: each says in one line what was expected, what was found and what to do. */

/** Anything that a user can cause and can mend. */
export class EdgeBertError extends Error {
  constructor(/** @type {string} */ message, /** @type {ErrorOptions | undefined} */ options = undefined) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A bundle cannot be read, was altered, or does not have what was asked for. */
export class BundleError extends EdgeBertError {}

/** A profile cannot be read, is another device's or bundle's, or cannot be made. */
export class ProfileError extends EdgeBertError {}

/**
 * No sub-network meets the budget.
 *
 * `nearest` is the one that misses it by the least, or null where nothing may be promised at all.
 */
export class BudgetError extends EdgeBertError {
  /** @param {string} message @param {import("./choosing/selection.js").Miss | null} nearest */
  constructor(message, nearest) {
    super(message);
    this.nearest = nearest;
  }
}
