import type { PrintOptions } from '../tensor/format.ts';
import type { QuantizedTensor } from './quantized-tensor.ts';
export function formatQuantizedTensor(q: QuantizedTensor, _options?: PrintOptions): string { return q.dtype; }
export function quantizedHtml(q: QuantizedTensor): string { return q.dtype; }
