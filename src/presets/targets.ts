/**
 * Where a model can be sent to: the names of onnxruntime's backends, and what each of them is slow at. The types that
 * each wants are `getDefaultQConfigMapping(target)`.
 */
import type { Model } from '../graph/model.ts';
import type { OnnxBackend } from '../qconfig/onnx-backends.ts';

/** What can be done to a model. */
export type Mode = 'static' | 'dynamic' | 'weight-only' | 'float16';

/** A place to run a model, and what to know about it. */
export interface TargetFacts {
  /** For people. */
  readonly place: string;
  /** Other spellings. */
  readonly aliases: readonly string[];
  /** Modes whose result loads there, but does not pay, with the reason. */
  readonly slow: Readonly<Partial<Record<Mode, string>>>;
  /** Operators with a float32 kernel and no float16 one. */
  readonly float32Only: readonly string[];
}

/** `bench/presets.ts --token` prints the figure. */
const NO_BLOCK_KERNEL =
  'WebAssembly has no kernel for blocks: MatMulNBits unpacks its weight at each call (a token 9 times as slow as in float)';
const FLOAT_ONLY = 'WebGPU has no integer products: nodes with quantized activations go back to the CPU';

/** One row a target; the key is its name, here and in `getDefaultQConfigMapping`. */
export const TARGETS: Readonly<Record<OnnxBackend, TargetFacts>> = {
  'onnxruntime-cpu': {
    place: 'x64 with VNNI',
    aliases: ['node-cpu', 'ort-node-cpu'],
    slow: {},
    float32Only: [],
  },
  'onnxruntime-cpu-avx2': { place: 'x64 without VNNI', aliases: [], slow: {}, float32Only: [] },
  'onnxruntime-arm': { place: '64-bit ARM', aliases: [], slow: {}, float32Only: [] },
  'onnxruntime-web': {
    place: 'WebAssembly',
    aliases: ['web-wasm', 'ort-web-wasm'],
    slow: { 'weight-only': NO_BLOCK_KERNEL },
    float32Only: [],
  },
  webgpu: {
    place: 'WebGPU',
    aliases: ['web-webgpu', 'ort-web-webgpu'],
    slow: { static: FLOAT_ONLY, dynamic: FLOAT_ONLY },
    float32Only: ['LSTM', 'GRU'],
  },
};

/** Name of a target from its name or an alias; undefined if there is none such. */
export function findTarget(name: string): OnnxBackend | undefined {
  const rows = Object.entries(TARGETS) as readonly (readonly [OnnxBackend, TargetFacts])[];
  return rows.find(([target, { aliases }]) => target === name || aliases.includes(name))?.[0];
}

/**
 * What `convertToFloat16` needs to know of a place: operators of the model that it has no float16 kernel of compute in
 * float32, and WebGPU is given the integer products that a CPU would compute wrongly.
 */
export function float16OptionsFor(
  model: Model,
  target: OnnxBackend,
): { readonly keepIntegerProducts: boolean; readonly keep: { readonly compute: readonly string[] } } {
  const used = new Set(Array.from(model.graph.allNodes(), ({ qualifiedOp }) => qualifiedOp));
  const compute = TARGETS[target].float32Only.filter((op) => used.has(op));
  return { keepIntegerProducts: target === 'webgpu', keep: { compute } };
}
