/** What a quantization did, as data: printed by the CLI, written by `--json`, shown in reports. */
import type { SkippedNode } from '../passes/pass.ts';

export interface QuantizedNode {
  readonly node: string;
  readonly opType: string;
}

export interface QuantizedValue {
  readonly name: string;
  readonly dtype: string;
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface QuantizedWeight {
  readonly name: string;
  readonly dtype: string;
  /** Scales: 1 per tensor, else the number of channels. */
  readonly scales: number;
  readonly elements: number;
}

export interface QuantizationReport {
  readonly mode: 'static' | 'dynamic';
  readonly quantized: readonly QuantizedNode[];
  /** Nodes left in float, each with the reason. */
  readonly skipped: readonly SkippedNode[];
  /** Activations with a grid of their own (static only). */
  readonly activations: readonly QuantizedValue[];
  readonly weights: readonly QuantizedWeight[];
  /** Relu and Clip nodes that became the saturation of the op before them. */
  readonly absorbed: readonly string[];
  /** Samples that calibration saw; 0 for dynamic. */
  readonly samples: number;
  /** Present if the model was said in a newer opset first, because the wanted form needs it. */
  readonly raisedOpset?: { readonly from: number; readonly to: number };
  /** Kernel backend that made the integers: 'wasm' or 'reference'. */
  readonly backend: string;
}
