/** What is asked of a page, and what it answers: plain data, since it goes through the protocol of the browser. */
import type { TensorData } from 'zeropoint';
import type { CheckTarget } from 'zeropoint/onnx';

/** What a page loads, and what that is to compute with. */
export interface PageRuntime {
  /** A file of onnxruntime-web. */
  readonly script: 'ort.wasm.min.mjs' | 'ort.webgpu.min.mjs';
  readonly provider: 'wasm' | 'webgpu';
}

/** By target. */
export const PAGE_RUNTIMES = {
  'ort-web-wasm': { script: 'ort.wasm.min.mjs', provider: 'wasm' },
  'transformersjs-wasm': { script: 'ort.webgpu.min.mjs', provider: 'wasm' },
  'ort-web-webgpu': { script: 'ort.webgpu.min.mjs', provider: 'webgpu' },
} as const satisfies Partial<Record<CheckTarget, PageRuntime>>;

/** A target that is a page. */
export type WebTarget = keyof typeof PAGE_RUNTIMES;

/** How answers call a runtime: `onnxruntime-web/webgpu 1.30.0 (wasm)`. */
export function runtimeName({ script, provider }: PageRuntime, version = ''): string {
  const entry = script.split('.')[1];
  return [`onnxruntime-web/${entry}`, version, `(${provider})`].filter((word) => word !== '').join(' ');
}

/** A tensor whose bytes lie at a URL of the page's server. */
export interface PageTensor {
  readonly name: string;
  /** onnxruntime's name of the type, which is ours. */
  readonly type: string;
  readonly dims: readonly number[];
  readonly url: string;
}

export interface PageJob {
  readonly runtime: PageRuntime;
  readonly optimization: 'disabled' | 'basic' | 'extended' | 'all';
  readonly model: string;
  readonly externalData: readonly { readonly path: string; readonly url: string }[];
  /** One a run. */
  readonly batches: readonly (readonly PageTensor[])[];
  /** Names of the outputs to send back. */
  readonly fetches: readonly string[];
  /** Prefix of the URLs to send outputs to: `<prefix>/<run>/<index in fetches>`. */
  readonly sendTo: string;
}

/** A node as onnxruntime placed it, after its optimizations. */
export interface PlacedNode {
  readonly op: string;
  readonly node: string;
  /** `CPUExecutionProvider`, `WebGpuExecutionProvider`. */
  readonly provider: string;
}

export interface PageAnswer {
  /** Version of onnxruntime-web, once it is loaded. */
  readonly version: string | undefined;
  /** What WebGPU computes on: `google swiftshader`; undefined for wasm. */
  readonly adapter: string | undefined;
  readonly hasHalf: boolean;
  /** Empty for wasm, which has no choice, and where all nodes went to one provider, {@link allOn}. */
  readonly placed: readonly PlacedNode[];
  readonly allOn: string | undefined;
  /** Milliseconds from bytes in memory to a session. */
  readonly loadMs: number | undefined;
  /** Milliseconds of each run. */
  readonly runMs: readonly number[];
  /** Types and shapes of the outputs, a list a run, in the order of `fetches`. */
  readonly outputs: readonly (readonly { readonly type: string; readonly dims: readonly number[] }[])[];
  /** What went wrong, if something did. */
  readonly failure: { readonly stage: 'start' | 'load' | 'run'; readonly message: string } | undefined;
}

/** Arrays of the types that onnxruntime-web gives. */
export const PAGE_ARRAYS: Readonly<Record<string, new (buffer: ArrayBufferLike) => TensorData>> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};
