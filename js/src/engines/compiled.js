/** onnxruntime-web's machine code, compiled once for all Workers of a page: it is 14 MB, and each has to have it. */

/** @type {Map<string, Promise<WebAssembly.Module | undefined>>} */
const known = new Map();

/**
 * Returns the compiled code of the onnxruntime-web at an address, undefined where it is not known what that needs or
 * cannot be had: then each Worker loads it as onnxruntime-web does.
 *
 * @param {string} address of its module
 */
export function compiledAt(address) {
  const found = known.get(address) ?? compiled(address);
  known.set(address, found);
  return found;
}

/** @param {string} address */
async function compiled(address) {
  const { pathname } = new URL(address);
  // The others are for graphics cards, and have files of other names.
  if (!/\/ort\.wasm\.[\w.]*mjs$/.test(pathname)) return undefined;
  try {
    const response = await fetch(new URL("ort-wasm-simd-threaded.wasm", address));
    return response.ok ? await WebAssembly.compile(await response.arrayBuffer()) : undefined;
  } catch {
    // Offline, or not allowed: the next network asks again.
    known.delete(address);
    return undefined;
  }
}

// The least that is WebAssembly: stands for the code where onnxruntime-web asks for its bytes.
const STAND_IN = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

/**
 * In a Worker, has onnxruntime-web take code that is compiled already.
 *
 * @param {import("./session-network.js").Runtime} runtime @param {WebAssembly.Module} code
 */
export function takeCompiled({ env }, code) {
  if (!env.wasm) return;
  env.wasm.wasmBinary = STAND_IN.buffer;
  const instantiate = WebAssembly.instantiate;
  // @ts-expect-error: of its two forms only that for bytes, which gives the module too, is replaced.
  WebAssembly.instantiate = async (source, imports) => {
    if (!isStandIn(source)) return instantiate(source, imports);
    return { module: code, instance: await instantiate(code, imports) };
  };
}

/** @param {unknown} source */
function isStandIn(source) {
  const isBytes = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  return isBytes && source.byteLength === STAND_IN.length;
}
