/**
 * The backend in use: `wasm` where WebAssembly with SIMD can be compiled at the first call, else `reference`. Both give
 * the same bits. Reports print `kernels().name`.
 */
import { referenceKernels } from './reference.ts';
import type { Kernels } from './types.ts';
import { wasmKernels } from './wasm/kernels.ts';
import { compile, compileAsync } from './wasm/machine.ts';

/** The backends: SIMD in WebAssembly, and the readable loops that define it. */
export type BackendName = Kernels['name'];

const BACKENDS: Readonly<Record<BackendName, Kernels>> = {
  wasm: wasmKernels,
  reference: referenceKernels,
};

let current: Kernels | undefined;

/** The kernels that every function of the package calls. */
export function kernels(): Kernels {
  return (current ??= canCompile() ? wasmKernels : referenceKernels);
}

function canCompile(): boolean {
  try {
    compile();
    return true;
  } catch {
    return false;
  }
}

/** Name of the backend in use. */
export function getBackend(): BackendName {
  return kernels().name;
}

/**
 * Switches the backend for everything that follows, in this thread.
 * @throws RangeError for another name; for `wasm`, what the compiler throws where there is no WebAssembly SIMD
 */
export function setBackend(name: BackendName): void {
  if (!Object.hasOwn(BACKENDS, name)) {
    throw new RangeError(`setBackend: expected 'wasm' or 'reference', got '${String(name)}'`);
  }
  if (name === 'wasm') compile();
  current = BACKENDS[name];
}

/**
 * Compiles the wasm backend asynchronously and switches to it. Needed only in browsers that refuse to compile on their
 * main thread at once (Chromium before 115 above 4 KB); without it such a browser uses `reference`. Everywhere else the
 * first call compiles, in a third of a millisecond. Rejects as {@link setBackend} throws.
 */
export async function initKernels(): Promise<void> {
  await compileAsync();
  current = wasmKernels;
}
