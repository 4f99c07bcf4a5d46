/**
 * The kernels as users have them: from the build, not from the sources, because the TypeScript loader that runs the
 * bench adds 1 µs to every call (it gives each closure a name).
 */
import type { Kernels, WeightKernels } from '../src/kernels/types.ts';
import type { Arena } from '../src/kernels/wasm/arena.ts';

interface Built {
  readonly wasmKernels: Kernels;
  readonly wasmWeightKernels: WeightKernels;
  readonly referenceKernels: Kernels;
  readonly referenceWeightKernels: WeightKernels;
  readonly createArena: (options: { readonly bytes: number }) => Arena;
}

const PARTS = [
  'reference.js',
  'reference-weights.js',
  'wasm/arena.js',
  'wasm/kernels.js',
  'wasm/weight-kernels.js',
];

/** Loads the build that `node scripts/setup.mjs` made. */
export async function builtKernels(): Promise<Built> {
  const load = (path: string): Promise<Partial<Built>> =>
    import(new URL(`../dist/kernels/${path}`, import.meta.url).href);
  const modules = await Promise.all(PARTS.map(load));
  // The modules export these names; their types are those of the sources they were built from.
  return Object.assign({}, ...modules) as Built;
}
