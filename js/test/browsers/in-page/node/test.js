/** What tests use of node:test, for pages: tests are noted down where they are written, and run when `run` is called. */

/** @typedef {{name: string, skip: string | boolean, work: (t: object) => unknown}} Noted */
/** @typedef {{name: string, problem?: string, skipped?: string}} Told */

/** @type {Noted[]} */
const noted = [];

/** @param {string} name @param {any} options @param {Noted["work"]} [work] */
export function test(name, options, work) {
  const isShort = typeof options === "function";
  noted.push({ name, skip: isShort ? false : (options.skip ?? false), work: isShort ? options : work });
}

/** Runs what was noted down, one after the other. @returns {Promise<Told[]>} */
export async function run() {
  const told = [];
  for (const one of noted.splice(0)) told.push(await ran(one));
  return told;
}

/** @param {Noted} one @returns {Promise<Told>} */
async function ran({ name, skip, work }) {
  if (skip) return { name, skipped: String(skip) };
  /** @type {(() => unknown)[]} */
  const ends = [];
  const after = (/** @type {() => unknown} */ end) => void ends.push(end);
  try {
    await work({ after, mock: { method: (/** @type {any} */ owner, /** @type {string} */ key) => spy(owner, key, after) } });
    return { name };
  } catch (problem) {
    const { message, stack } = /** @type {Error} */ (problem);
    // Some browsers' stacks have the message in them.
    return { name, problem: stack?.includes(message) ? stack : `${message}\n${stack}` };
  } finally {
    for (const end of ends) await end();
  }
}

/** Counts calls of a method until the test ends. @param {any} owner @param {string} key @param {Function} after */
function spy(owner, key, after) {
  const own = owner[key];
  /** @type {{arguments: unknown[]}[]} */
  const calls = [];
  owner[key] = (/** @type {unknown[]} */ ...parts) => {
    calls.push({ arguments: parts });
    return own.apply(owner, parts);
  };
  after(() => (owner[key] = own));
  return { mock: { calls, callCount: () => calls.length } };
}
