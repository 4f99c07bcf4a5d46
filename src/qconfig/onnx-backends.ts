/**
 * What onnxruntime computes fast, by where it runs. All use its quantizer's rule for scales and zero points, weights
 * symmetric with one scale a channel, and ranges by min/max. Ratios are of onnxruntime 1.30 on one thread of an x64 with VNNI.
 */
import { MinMaxObserver } from '../observers/min-max-observer.ts';
import { PerChannelMinMaxObserver } from '../observers/per-channel-min-max-observer.ts';
import { PlaceholderObserver } from '../observers/placeholder-observer.ts';
import { QConfig } from './qconfig.ts';

/**
 * - `onnxruntime-cpu`: x64 with VNNI, the default.
 * - `onnxruntime-cpu-avx2`: x64 without VNNI.
 * - `onnxruntime-arm`: 64-bit ARM.
 * - `onnxruntime-web`: WebAssembly, in browsers and Node.
 * - `webgpu`: onnxruntime-web's WebGPU, which computes in float alone.
 */
export type OnnxBackend =
  | 'onnxruntime-cpu'
  | 'onnxruntime-cpu-avx2'
  | 'onnxruntime-arm'
  | 'onnxruntime-web'
  | 'webgpu';

interface BackendFacts {
  /** Codes of activations; undefined: they stay float. */
  readonly activation: 'quint8' | 'qint8' | undefined;
  /** Weights in 7 bits. */
  readonly reduceRange: boolean;
}

const FACTS: Readonly<Record<OnnxBackend, BackendFacts>> = {
  // uint8 by int8 has VNNI kernels, uint8 by uint8 and int8 by int8 have none: 3.4, 1.4 and 1.3 times float on ResNet-18.
  'onnxruntime-cpu': { activation: 'quint8', reduceRange: false },
  // Pairs of uint8·int8 products are added in 16 bits that saturate: 2 · 255 · 64 fits, 2 · 255 · 127 does not.
  'onnxruntime-cpu-avx2': { activation: 'quint8', reduceRange: true },
  // Dot products of equal signs, and convolution kernels for symmetric weights.
  'onnxruntime-arm': { activation: 'qint8', reduceRange: false },
  // Signed activations take a scalar loop: 1.6 times the time of unsigned ones on ResNet-18.
  'onnxruntime-web': { activation: 'quint8', reduceRange: false },
  // No QuantizeLinear, no integer products: whatever quantizes activations goes back to the CPU.
  webgpu: { activation: undefined, reduceRange: false },
};

/** All names, in the order of the table. */
export const ONNX_BACKENDS: readonly OnnxBackend[] = Object.keys(FACTS) as OnnxBackend[];

export function isOnnxBackend(backend: string): backend is OnnxBackend {
  return Object.hasOwn(FACTS, backend);
}

export function onnxBackendQConfig(backend: OnnxBackend): QConfig {
  const { activation, reduceRange } = FACTS[backend];
  return new QConfig({
    activation:
      activation === undefined
        ? PlaceholderObserver.withArgs({})
        : MinMaxObserver.withArgs({ dtype: activation, rule: 'onnx' }),
    weight: PerChannelMinMaxObserver.withArgs({
      dtype: 'qint8',
      rule: 'onnx',
      qscheme: 'per_channel_symmetric',
      reduceRange,
    }),
  });
}
