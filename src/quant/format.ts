/** Quantized tensors as PyTorch 2.13 prints them: the dequantized values, then what turns codes into them. */
import type { DType } from '../tensor/dtype.ts';
import { formatPrintable, formatTensor, sizeText, type PrintOptions } from '../tensor/format.ts';
import { htmlOf } from '../tensor/html.ts';
import { pythonRepr } from '../tensor/number-format.ts';
import { planLayout } from './layout.ts';
import type { QuantizedTensor } from './quantized-tensor.ts';

/**
 * `tensor([...], size=(3, 2), dtype=torch.qint8, quantization_scheme=..., scale=..., zero_point=...)`. Blocks and plain
 * dtypes, which torch has no quantized tensor for, print in the same style.
 */
export function formatQuantizedTensor(q: QuantizedTensor, options: PrintOptions = {}): string {
  const suffixes = [
    `size=${sizeText(q.shape)}`,
    `dtype=torch.${q.dtype}`,
    `quantization_scheme=torch.${q.qscheme}`,
    ...paramSuffixes(q, options),
  ];
  return formatPrintable(printable(q), suffixes, options);
}

/** A table of the dequantized values with the parameters in the caption. */
export function quantizedHtml(q: QuantizedTensor, options: PrintOptions = {}): string {
  const params =
    q.qscheme === 'per_tensor_affine' ? `, scale ${pythonRepr(q.scale)}, zero point ${q.zeroPoint}` : '';
  return htmlOf(printable(q), `${q.dtype} [${q.shape.join(', ')}], ${q.qscheme}${params}`, options);
}

function printable(q: QuantizedTensor): Parameters<typeof htmlOf>[0] {
  return { kind: 'float', shape: q.shape, values: q.dequantize().data };
}

function paramSuffixes(q: QuantizedTensor, options: PrintOptions): string[] {
  if (q.qscheme === 'per_tensor_affine') {
    return [`scale=${pythonRepr(q.scale)}`, `zero_point=${q.zeroPoint}`];
  }
  const { paramShape: shape } = planLayout(q.shape, q.granularity, 'toString');
  // torch stores the scales of integer per-channel tensors as float64 and their zero points as int64.
  const float64 = q.qscheme === 'per_channel_affine' || q.scales instanceof Float64Array;
  const param = (dtype: DType, data: Float32Array | Float64Array | Int32Array): string =>
    formatTensor({ dtype, shape, data }, options);
  const suffixes = [
    `scale=${param(float64 ? 'float64' : 'float32', q.scales)}`,
    `zero_point=${param(q.zeroPoints instanceof Float32Array ? 'float32' : 'int64', q.zeroPoints)}`,
    `axis=${q.axis}`,
  ];
  return q.blockSize === undefined ? suffixes : [...suffixes, `block_size=${q.blockSize}`];
}
