/**
 * Names of what quantization adds. Names are bytes: each edge is written twice, and in a small model the long names of
 * onnxruntime's quantizer weigh more than what they name. So the default is short; the report says what is what.
 */

/** - `short`: q1, d1, s1, z1, ...  - `onnxruntime`: x_QuantizeLinear_Output, x_scale, ..., as its Python quantizer writes. */
export type NameStyle = 'short' | 'onnxruntime';

/** Parts of what is added, each with its short form and the suffix that onnxruntime's quantizer uses. */
const PARTS = {
  quantized: ['q', '_QuantizeLinear_Output'],
  dequantized: ['d', '_DequantizeLinear_Output'],
  scale: ['s', '_scale'],
  zero_point: ['z', '_zero_point'],
  bound: ['c', '_bound'],
  integers: ['i', '_quantized'],
  product: ['p', '_output_quantized'],
  float: ['f', '_cast_output'],
  rescale: ['r', '_scales_mul'],
  scaled: ['m', '_output_scaled'],
  bias: ['b', '_bias'],
  bias_shape: ['h', '_bias_reshape_shape'],
  reshaped_bias: ['e', '_bias_reshape_output'],
} as const;

export type NamedPart = keyof typeof PARTS;

export interface Namer {
  /** Base of a value's name; the graph makes it unique. `of` is the tensor that is quantized, `number` counts tensors. */
  value(part: NamedPart, of: string, number: number): string;
  /** Name of a node; '' leaves it without one, as ONNX allows. */
  node(opType: string, of: string): string;
}

export const NAMERS: Readonly<Record<NameStyle, Namer>> = {
  short: {
    value: (part, _of, number) => `${PARTS[part][0]}${number}`,
    node: () => '',
  },
  onnxruntime: {
    value: (part, of) => `${of}${PARTS[part][1]}`,
    node: (opType, of) => `${of}_${opType}`,
  },
};
