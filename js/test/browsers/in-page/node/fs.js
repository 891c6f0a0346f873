/** What tests use of node:fs, for pages: the server gives files, and for a folder the names in it. */

/** @param {URL | string} address @param {string} [type] */
function given(address, type) {
  const request = new XMLHttpRequest();
  // Not later, since those who call this do not wait.
  request.open("GET", address, false);
  if (type) request.overrideMimeType(type);
  request.send();
  if (request.status !== 200) throw new Error(`${address}: the server answered ${request.status}`);
  return request.responseText;
}

/** @param {URL | string} address @param {string} [encoding] */
export function readFileSync(address, encoding) {
  if (encoding) return given(address);
  // Makes a character of every byte, the upper half of them in a private area.
  const text = given(address, "text/plain; charset=x-user-defined");
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** @param {URL | string} address of a folder, with a slash at its end */
export function readdirSync(address) {
  return JSON.parse(given(address));
}
