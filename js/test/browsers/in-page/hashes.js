import { plainSha256Of, sha256Of } from "../../../src/inputs/hashing.js";

/** @param {number[]} lengths */
export async function hashes(lengths) {
  const messages = lengths.map((length) => Uint8Array.from({ length }, (_, place) => (place * 31 + length) % 256));
  return {
    isSecure: isSecureContext,
    hasSubtle: Boolean(globalThis.crypto?.subtle),
    own: await Promise.all(messages.map(sha256Of)),
    plain: messages.map(plainSha256Of),
  };
}
