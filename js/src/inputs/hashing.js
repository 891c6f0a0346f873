/** SHA-256 of bytes, also where the page is not secure and the browser offers none. */

const DIGEST_WORDS = 8;

/** Returns the SHA-256 of bytes in hexadecimal, in lower case. @param {Uint8Array<ArrayBuffer>} bytes */
export async function sha256Of(bytes) {
  const subtle = globalThis.crypto?.subtle;
  return subtle ? hexOf(new Uint8Array(await subtle.digest("SHA-256", bytes))) : plainSha256Of(bytes);
}

/** Returns bytes in hexadecimal, in lower case. @param {Uint8Array} bytes */
export const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Returns the same as `sha256Of`, in plain JavaScript (FIPS 180-4, section 6.2). @param {Uint8Array} bytes */
export function plainSha256Of(bytes) {
  const state = new Uint32Array(INITIAL);
  const whole = bytes.length - (bytes.length % 64);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < whole; at += 64) addBlock(state, view, at);

  // The rest, a bit of 1, zeros, and how many bits there were, in one or two blocks.
  const rest = bytes.length - whole;
  const last = new DataView(new ArrayBuffer(rest < 56 ? 64 : 128));
  new Uint8Array(last.buffer).set(bytes.subarray(whole));
  last.setUint8(rest, 0x80);
  last.setBigUint64(last.byteLength - 8, BigInt(bytes.length) * 8n);
  for (let at = 0; at < last.byteLength; at += 64) addBlock(state, last, at);

  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

// The first 32 bits behind the point of the square roots of the first 8 primes, and of the cube roots of the first 64.
const PRIMES = firstPrimes(64);
const INITIAL = PRIMES.slice(0, DIGEST_WORDS).map((prime) => behindPoint(Math.sqrt(prime)));
const ROUND_WORDS = Uint32Array.from(PRIMES, (prime) => behindPoint(Math.cbrt(prime)));
const SCHEDULE = new Uint32Array(64);

function firstPrimes(/** @type {number} */ count) {
  /** @type {number[]} */
  const found = [];
  for (let one = 2; found.length < count; one++) if (found.every((prime) => one % prime)) found.push(one);
  return found;
}

function behindPoint(/** @type {number} */ value) {
  return Math.floor((value % 1) * 2 ** 32);
}

/**
 * Changes the state by the 64 bytes of a message from `start` on.
 * @param {Uint32Array} state @param {DataView} view @param {number} start
 */
function addBlock(state, view, start) {
  const words = SCHEDULE;
  for (let i = 0; i < 16; i++) words[i] = view.getUint32(start + 4 * i);
  for (let i = 16; i < 64; i++) {
    const early = words[i - 15];
    const late = words[i - 2];
    const small0 = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
    const small1 = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
    words[i] = words[i - 16] + small0 + words[i - 7] + small1;
  }

  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const big1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const one = (h + big1 + ((e & f) ^ (~e & g)) + ROUND_WORDS[i] + words[i]) | 0;
    const big0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const two = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, place) => (state[place] += word));
}

function turned(/** @type {number} */ word, /** @type {number} */ by) {
  return (word >>> by) | (word << (32 - by));
}
