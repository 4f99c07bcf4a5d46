/** The kernels for weights of the backend in use, see backend.ts. */
import { kernels } from './backend.ts';
import { referenceWeightKernels } from './reference-weights.ts';
import type { Kernels, WeightKernels } from './types.ts';
import { wasmWeightKernels } from './wasm/weight-kernels.ts';

const BACKENDS: Readonly<Record<Kernels['name'], WeightKernels>> = {
  wasm: wasmWeightKernels,
  reference: referenceWeightKernels,
};

export function weightKernels(): WeightKernels {
  return BACKENDS[kernels().name];
}
