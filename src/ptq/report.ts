/** What a quantization did, as data: printed by the CLI, written by `--json`, shown in reports. */
import type { SkippedNode } from '../passes/pass.ts';

/** A node that computes in integers now. */
export interface QuantizedNode {
  readonly node: string;
  readonly opType: string;
}

/** An activation with a grid of its own. */
export interface QuantizedValue {
  readonly name: string;
  readonly dtype: string;
  readonly scale: number;
  readonly zeroPoint: number;
  /** The nodes that read it so, where they have another type than the value. */
  readonly readers?: readonly string[];
}

/** A constant that is stored as integers now. */
export interface QuantizedWeight {
  readonly name: string;
  readonly dtype: string;
  /** Scales: 1 per tensor, else the number of channels or blocks. */
  readonly scales: number;
  readonly elements: number;
  /** Elements that share a scale, where a weight is cut into blocks. */
  readonly blockSize?: number;
  /** How scales and codes were chosen, where there is a choice: `rtn`, `mse`, `hqq`, `gptq`. */
  readonly algorithm?: string;
}

/** What became of a model: which nodes compute in integers, which stayed in float and why, and the grids chosen. */
export interface QuantizationReport {
  readonly mode: 'static' | 'dynamic' | 'weight-only';
  readonly quantized: readonly QuantizedNode[];
  /** Nodes left in float, each with the reason. */
  readonly skipped: readonly SkippedNode[];
  /** Activations with a grid of their own (static only). */
  readonly activations: readonly QuantizedValue[];
  readonly weights: readonly QuantizedWeight[];
  /** Relu and Clip nodes that became the saturation of the op before them. */
  readonly absorbed: readonly string[];
  /** QOperator form: quantized nodes without an integer operator, which stay between their pairs, and why. */
  readonly keptPairs?: readonly SkippedNode[];
  /** Samples that calibration saw; 0 for dynamic, and for weight-only without gptq. */
  readonly samples: number;
  /** Present if the model was said in a newer opset first, because the wanted form needs it. */
  readonly raisedOpset?: { readonly from: number; readonly to: number };
  /** Present and true if layers were equalized first, because their channels differed too much for int8. */
  readonly equalized?: boolean;
  /** Kernel backend that made the integers: 'wasm' or 'reference'. */
  readonly backend: string;
}
