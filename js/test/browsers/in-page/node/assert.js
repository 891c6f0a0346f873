/** What tests use of Node's strict assertions, for pages; `../../../shim.test.js` holds it to Node's own. */

class AssertionError extends Error {
  /** @override */
  name = "AssertionError";
}

/** @typedef {string | undefined} Message */

/** @param {unknown} isRight @param {string} otherwise @param {Message} message */
function check(isRight, otherwise, message) {
  if (!isRight) throw new AssertionError(message ? `${message}: ${otherwise}` : otherwise);
}

/** @param {unknown} value */
function shown(value) {
  if (typeof value === "function" || value instanceof Error || value instanceof RegExp) return String(value);
  const text = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part));
  return String(text).slice(0, 500);
}

/** @param {any} one @param {any} other @returns {boolean} */
function isAlike(one, other) {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false;
  if (one instanceof Error && (one.name !== other.name || one.message !== other.message)) return false;
  if (one instanceof RegExp && String(one) !== String(other)) return false;
  if (one instanceof Map) return isAlike(new Set(one.keys()), new Set(other.keys())) && hasAll(one, other);
  if (one instanceof Set) return one.size === other.size && [...one].every((value) => isIn(value, other));
  const [keys, others] = [Object.keys(one), new Set(Object.keys(other))];
  return keys.length === others.size && keys.every((key) => others.has(key) && isAlike(one[key], other[key]));
}

/** @param {Map<unknown, unknown>} one @param {Map<unknown, unknown>} other */
function hasAll(one, other) {
  return [...one].every(([key, value]) => isAlike(value, other.get(key)));
}

/** @param {unknown} value @param {Set<unknown>} values */
function isIn(value, values) {
  return values.has(value) || [...values].some((one) => isAlike(one, value));
}

/** @param {any} problem @param {any} expected @param {Message} message */
function checkProblem(problem, expected, message) {
  const found = `found ${problem?.stack ?? problem}`;
  if (expected === undefined) return;
  if (expected instanceof RegExp) return check(expected.test(String(problem)), `expected ${expected}, ${found}`, message);
  if (typeof expected === "function") {
    const isClass = expected.prototype instanceof Error || expected === Error;
    if (isClass) return check(problem instanceof expected, `expected a ${expected.name}, ${found}`, message);
    return check(expected(problem) === true, `expected what the test says, ${found}`, message);
  }
  const keys = expected instanceof Error ? ["name", "message"] : Object.keys(expected);
  for (const key of keys) {
    const [wanted, has] = [expected[key], problem?.[key]];
    const isRight = wanted instanceof RegExp && typeof has === "string" ? wanted.test(has) : isAlike(wanted, has);
    check(isRight, `expected ${key} ${shown(wanted)}, ${found}`, message);
  }
}

const assertions = {
  /** @param {unknown} value @param {Message} [message] */
  ok: (value, message) => check(value, `expected something true, found ${shown(value)}`, message),
  /** @param {unknown} found @param {unknown} expected @param {Message} [message] */
  equal: (found, expected, message) =>
    check(Object.is(found, expected), `expected ${shown(expected)}, found ${shown(found)}`, message),
  /** @param {unknown} found @param {unknown} other @param {Message} [message] */
  notEqual: (found, other, message) => check(!Object.is(found, other), `expected another than ${shown(found)}`, message),
  /** @param {unknown} found @param {unknown} expected @param {Message} [message] */
  deepEqual: (found, expected, message) =>
    check(isAlike(found, expected), `expected ${shown(expected)}, found ${shown(found)}`, message),
  /** @param {string} found @param {RegExp} pattern @param {Message} [message] */
  match: (found, pattern, message) => check(pattern.test(found), `expected ${pattern}, found ${shown(found)}`, message),
  /** @param {string} found @param {RegExp} pattern @param {Message} [message] */
  doesNotMatch: (found, pattern, message) =>
    check(!pattern.test(found), `expected no ${pattern}, found ${shown(found)}`, message),
  /** @param {() => unknown} call @param {unknown} [expected] @param {Message} [message] */
  throws: (call, expected, message) => {
    try {
      call();
    } catch (problem) {
      return checkProblem(problem, expected, message);
    }
    return check(false, "expected an error, found none", message);
  },
  /** @param {Promise<unknown>} work @param {unknown} [expected] @param {Message} [message] */
  rejects: async (work, expected, message) => {
    const problem = await work.then(
      () => check(false, "expected an error, found none", message),
      (reason) => ({ reason }),
    );
    checkProblem(problem?.reason, expected, message);
  },
};

export default assertions;
