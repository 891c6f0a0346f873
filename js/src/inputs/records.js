/** Reads JSON strictly: each value is checked, what comes out is frozen, and errors name the path to what is wrong. */

/**
 * What a value of JSON must be: returns it, frozen, or throws what is wrong with it.
 * @template T
 * @typedef {(value: any, path: string) => T} Check
 */

/** @typedef {new (message: string, options?: ErrorOptions) => Error} ErrorClass */

// Control characters, and those that change the direction of what follows: none belongs into a line of a table.
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;
const MOST_OF_A_NAME = 60;
const MOST_NAMES = 24;

class Refusal extends Error {}

/** Says that a value is not what was expected of it. @returns {never} */
export function refuse(/** @type {string} */ reason, /** @type {string} */ path) {
  throw new Refusal(`${reason} at ${path}`);
}

/** Returns what a value of JSON is for a message: on one line, of a long text the beginning. @param {unknown} value */
export function quoted(value) {
  if (Array.isArray(value)) return "a list";
  if (typeof value !== "string") return value && typeof value === "object" ? "an object" : String(value);
  const text = JSON.stringify(value.length > MOST_OF_A_NAME ? `${value.slice(0, MOST_OF_A_NAME)}...` : value);
  return text.replace(CONTROL, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Returns names for a message: of very many the first and how many more there are. @param {readonly string[]} names */
export function listed(names) {
  const more = names.length - MOST_NAMES;
  return names.slice(0, MOST_NAMES).map(quoted).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** @template T @param {string} words @param {(value: any) => boolean} holds @returns {Check<T>} */
function check(words, holds) {
  return (value, path) => (holds(value) ? value : refuse(`expected ${words}, found ${quoted(value)}`, path));
}

/** @type {Check<string>} */
export const text = check("a text", (value) => typeof value === "string");
/** @type {Check<string>} */
export const line = check(
  "text without control characters",
  (value) => typeof value === "string" && value.length <= 10_000 && value.search(CONTROL) < 0,
);
/** @type {Check<string>} */
export const sha256 = check(
  "64 hexadecimal digits in lower case",
  (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value),
);
/** @type {Check<boolean>} */
export const flag = check("true or false", (value) => typeof value === "boolean");
/** @type {Check<number>} */
export const positive = check("a number above 0", (value) => Number.isFinite(value) && value > 0);

/** Any object, as it is. @type {Check<Readonly<Record<string, unknown>>>} */
export const object = (value, path) => (checkObject(value, path), Object.freeze(value));

/** Returns the check of a number within bounds. @returns {Check<number>} */
export const number = (least = -Number.MAX_VALUE, most = Number.MAX_VALUE) =>
  check(
    `a number from ${least} to ${most}`,
    (value) => typeof value === "number" && value >= least && value <= most,
  );

/** Returns the check of a whole number within bounds. @returns {Check<number>} */
export const integer = (/** @type {number} */ least, most = Number.MAX_SAFE_INTEGER) =>
  check(
    `a whole number from ${least} to ${most}`,
    (value) => Number.isSafeInteger(value) && value >= least && value <= most,
  );

/**
 * Returns the check of one of some values.
 * @template {string | number} T
 * @param {readonly T[]} values @returns {Check<T>}
 */
export const oneOf = (...values) => check(`one of ${values.join(", ")}`, (value) => values.includes(value));

/** Returns a check that lets null pass. @template T @param {Check<T>} of @returns {Check<T | null>} */
export const nullable = (of) => (value, path) => (value === null ? null : of(value, path));

/**
 * Returns the check of a list.
 * @template T
 * @param {Check<T>} of @returns {Check<readonly T[]>}
 */
export function list(of, least = 0, most = Infinity) {
  return (value, path) => {
    const fits = Array.isArray(value) && value.length >= least && value.length <= most;
    if (!fits) refuse(`expected a list${least ? ` of at least ${least}` : ""}, found ${quoted(value)}`, path);
    return Object.freeze(Array.from(value, (one, place) => of(one, `${path}[${place}]`)));
  };
}

/**
 * Returns the check of an object whose keys are free.
 * @template T
 * @param {Check<T>} of @param {Check<string>} key @returns {Check<Readonly<Record<string, T>>>}
 */
export function mapOf(of, key = line) {
  return (value, path) => {
    checkObject(value, path);
    // Not by assignment: a key "__proto__" would then be no key.
    const entries = Object.entries(value).map(([name, one]) => [key(name, path), of(one, `${path}.${name}`)]);
    return Object.freeze(Object.fromEntries(entries));
  };
}

/**
 * What checks of keys return.
 * @template {Record<string, Check<any>>} F
 * @typedef {Readonly<{[K in keyof F]: ReturnType<F[K]>}>} Fields
 */

/**
 * Returns the check of an object with exactly these keys; `rule` refuses values that contradict each other.
 * @template {Record<string, Check<any>>} F
 * @param {F} fields @param {(value: Fields<F>, path: string) => void} [rule] @returns {Check<Fields<F>>}
 */
export function record(fields, rule = () => {}) {
  return (value, path) => {
    checkObject(value, path);
    const unknown = Object.keys(value).find((key) => !Object.hasOwn(fields, key));
    if (unknown !== undefined) refuse(`expected no key ${quoted(unknown)}`, path);
    const missing = Object.keys(fields).find((key) => !Object.hasOwn(value, key));
    if (missing !== undefined) refuse(`expected a key ${quoted(missing)}`, path);

    const entries = Object.entries(fields).map(([key, one]) => [key, one(value[key], `${path}.${key}`)]);
    const found = Object.freeze(Object.fromEntries(entries));
    rule(found, path);
    return found;
  };
}

function checkObject(/** @type {any} */ value, /** @type {string} */ path) {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) refuse(`expected an object, found ${quoted(value)}`, path);
}

/**
 * Returns the record that JSON in UTF-8 holds; `name` says in messages whose it is.
 *
 * Throws an error of the class `Refused` for another schema_version, and for a key or value that cannot be.
 * @template T
 * @param {Uint8Array} bytes @param {Check<T>} kind @param {number} version @param {string} name
 * @param {ErrorClass} Refused @returns {T}
 */
export function decode(bytes, kind, version, name, Refused) {
  try {
    const content = decodeText(bytes);
    const value = parsed(content);
    checkVersion(value?.schema_version, version);
    checkKeys(content);
    return kind(value, "$");
  } catch (problem) {
    if (problem instanceof Refusal) throw new Refused(`${name}: ${problem.message}; make it again or restore it`);
    throw problem;
  }
}

/** @param {Uint8Array} bytes */
function decodeText(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("expected UTF-8, found other bytes", "$");
  }
}

/** @param {string} content */
function parsed(content) {
  try {
    return JSON.parse(content);
  } catch {
    // A server may answer with a page where the file is missing, and then that is what this shows.
    return refuse(`expected JSON, found ${quoted(content)}`, "$");
  }
}

/** Refuses another version before its unknown keys are. @param {unknown} found @param {number} version */
function checkVersion(found, version) {
  if (!Number.isInteger(found) || found === version) return;
  const advice = Number(found) > version ? "use a newer version of edgebert" : "use an older version of edgebert";
  refuse(`expected schema_version ${version}, found ${found} (${advice})`, "$.schema_version");
}

/**
 * An object or list of JSON that is being scanned, at a key or a place; `keys` are those of an object so far.
 * @typedef {{keys: Set<string> | null, at: string | number, isAtKey: boolean}} Open
 */

/** Refuses JSON in which a key stands twice in one object: parsers take the one or the other. @param {string} json */
function checkKeys(json) {
  /** @type {Open[]} */
  const open = [];
  // No regular expression: one that matches texts needs a stack as long as they are.
  for (let place = 0; place < json.length; place++) {
    const [char, inner] = [json[place], open.at(-1)];
    if (char === "{") open.push({ keys: new Set(), at: "", isAtKey: true });
    else if (char === "[") open.push({ keys: null, at: 0, isAtKey: false });
    else if (char === "}" || char === "]") open.pop();
    else if (char === "," && inner) passOn(inner);
    else if (char === '"') {
      const start = place;
      for (place++; json[place] !== '"'; place++) if (json[place] === "\\") place++;
      if (inner?.isAtKey) addKey(open, inner, JSON.parse(json.slice(start, place + 1)));
    }
  }
}

/** Goes on to the next of an object or list. @param {Open} inner */
function passOn(inner) {
  if (typeof inner.at === "number") inner.at++;
  else inner.isAtKey = true;
}

/** @param {Open[]} open @param {Open} inner @param {string} key */
function addKey(open, inner, key) {
  [inner.at, inner.isAtKey] = [key, false];
  const path = () => open.map(({ at }) => (typeof at === "number" ? `[${at}]` : `.${at}`)).join("");
  if (inner.keys?.has(key)) refuse(`expected each key once, found ${quoted(key)} twice`, `$${path()}`);
  inner.keys?.add(key);
}
