/**
 * Where we differ from PyTorch 2.13 or onnxruntime on purpose, or because theirs cannot be followed. A fixture case is
 * `<numerics>:<id>`. Every case that a pattern matches must differ (a deviation that is not needed fails), and every
 * other case must be equal.
 */
export interface Deviation {
  readonly id: string;
  readonly reason: string;
  /** What it covers, over `<numerics>:<id>`. */
  readonly pattern: RegExp;
  /** The results of an observer that may differ; all others must be equal. Left out: any may. */
  readonly results?: readonly string[];
}

export const DEVIATIONS: readonly Deviation[] = [
  {
    id: 'nan-is-zero-point',
    reason:
      'torch turns NaN into an end of the range, 0 or what an integer conversion gives, depending on the op. ' +
      'onnxruntime makes it quant_min. In the numerics default and onnx NaN becomes the zero point (value 0) everywhere.',
    pattern: any(
      /^onnx:QuantizeLinear\/int\d+\/.*\/nan$/,
      /^onnx:QuantizeLinear\/uint\d+\/(?!s1\/z0\/).*\/nan$/,
      /^default:decomposed\.quantize_per_tensor\/\w+\/[^/]+\/z[1-9]\d*\/nan$/,
      /^default:decomposed\.quantize_per_tensor\/int32\/s1\/z0\/nan$/,
      /^default:decomposed\.quantize_per_channel\/(?!int2\/3x4\/axis1).*\/nan$/,
      /^default:fake_quantize_per_tensor\/-.*\/nan$/,
      /^default:fake_quantize_per_tensor\/0.*\/z[1-9]\d*\/nan$/,
      /^default:fake_quantize_per_channel\/.*\/nan$/,
    ),
  },
  {
    id: 'infinity-saturates',
    reason:
      'torch converts to int64 before it clamps in fake_quantize per channel, so that +Inf and values beyond 2^63 ' +
      'steps become quant_min. In the default numerics they become quant_max.',
    pattern: /^default:fake_quantize_per_channel\/.*\/huge$/,
  },
  {
    id: 'int32-saturates',
    reason:
      'quantized_decomposed clamps in float32, where 2147483647 is 2147483648, and the conversion to int32 then gives ' +
      '-2147483648. In the default numerics the largest code is 2147483647.',
    pattern: any(
      /^default:decomposed\.quantize_per_tensor\/int32\/.*\/huge$/,
      /^default:decomposed\.quantize_per_tensor\/int32\/s0\.001\/.*\/(normal|ties)$/,
    ),
  },
  {
    id: 'reciprocal-of-float32-scale',
    reason:
      'quantized_decomposed per tensor takes 1 / scale in double before it rounds; every other op, and we, take ' +
      '1 / float32(scale). It shows for scales that are not float32 numbers, such as 0.001, at ties.',
    pattern: any(
      /:decomposed\.quantize_per_tensor\/(?!int32)\w+\/s0\.001\/.*\/ties$/,
      /^torch-2\.13:decomposed\.quantize_per_tensor\/int32\/s0\.001\/.*\/normal$/,
    ),
  },
  {
    id: 'qint32-beyond-float32',
    reason:
      'Dequantizing qint32, torch subtracts the zero point in int32 and wraps around (per tensor), or rounds the code ' +
      'to float32 first (per channel). We subtract exactly and round once.',
    pattern: any(
      /^torch-2\.13:quantize_per_tensor\/qint32\/[^/]+\/z(?!0\/).*\/(huge|nan)$/,
      /^torch-2\.13:make_per_channel\/qint32\/(?!0x2)/,
    ),
  },
  {
    id: 'float-zero-point-overflow',
    reason:
      'With float zero points torch keeps the low 32 bits of an int64, so that codes beyond 2^31 steps depend on bits ' +
      'that mean nothing. Under torch-2.13 we saturate up to 2^63 steps and give quant_min beyond.',
    pattern: any(
      /^torch-2\.13:quantize_per_channel_float\/qint8\/(.*\/huge|odd-scales)$/,
      /^torch-2\.13:quantize_per_channel_float\/quint\w+\/(3x4\/axis\d|2x3x4\/axis[02])\/huge$/,
    ),
  },
  {
    id: 'onnxruntime-overflow',
    reason:
      'onnxruntime 1.30 converts to int32 before it clamps for 2-bit codes, for 4-bit codes on the last axis and for ' +
      'blocks on an inner axis, so that ±Inf and values beyond 2^31 steps become quant_min. The standard saturates.',
    pattern: any(
      /^onnx:QuantizeLinear\/u?int2\/.*\/huge$/,
      /^onnx:QuantizeLinear\/u?int4\/3x4\/axis1\/huge$/,
      /^onnx:QuantizeLinear\/u?int(4|8|16)\/(2x5x3|2x6x5|6x5)\/.*\/huge$/,
    ),
  },
  {
    id: 'onnxruntime-2-bit-last-axis',
    reason:
      'onnxruntime 1.30 mixes up the zero points of 2-bit codes per axis on the last axis; the reference evaluator of ' +
      'onnx gives what we give.',
    pattern:
      /^onnx:QuantizeLinear\/u?int2\/(2x3x2x2x3\/axis4\/(normal|ties)|2x3x4\/axis2\/ties|3x4\/axis1\/(ties|tiny)|4x33\/axis1\/(normal|ties))$/,
  },
  {
    id: 'learnable-one-rounding',
    reason:
      'The backward pass of torch rounds after adding the zero point, and per tensor rounds the zero point half up; its ' +
      'forward pass does neither. In the default numerics backward uses the codes of forward.',
    pattern: /^default:fake_quantize_learnable\/tie\/z(1\.0|-3\.6)\//,
  },
  {
    id: 'sums-in-double',
    reason:
      'torch sums in float32 in an order that depends on vector width and thread count. We sum in double in index ' +
      'order and round once, so that the same input gives the same bits everywhere.',
    pattern: any(
      /:cosine\/(document|equal|opposite|normal\d+)$/,
      /:normalized_l2\/normal33$/,
      /:sqnr\/normal4096$/,
      /:fake_quantize_learnable\/sum\//,
    ),
  },
  {
    id: 'symmetric-quint4x2-zero-point',
    reason:
      'A symmetric range on quint4x2 gets zero point 0 from torch, so that every negative value is clipped. Like the ' +
      'other unsigned dtypes it gets the middle of its codes, 8.',
    pattern: /^default:qparams torch dtype=quint4x2,qscheme=per_tensor_symmetric$/,
  },
  {
    id: 'qint32-affine-zero-point',
    reason:
      'Affine qparams of qint32: the zero point of torch wraps around in int32 and comes out as 0. We compute it ' +
      'without overflow and clamp.',
    pattern: /^default:qparams torch dtype=qint32,qscheme=per_tensor_affine$/,
  },
  {
    id: 'range-beyond-float32',
    reason:
      'A range whose width is no float32 number (-3e38 to 3e38) has an infinite scale in torch. We take the width in ' +
      'double, so that the scale is finite.',
    pattern: /^default:MinMaxObserver defaults overflow$/,
  },
  {
    id: 'histogram-search-of-extreme-ranges',
    reason:
      'The histogram search of torch cubes bin widths in float32, which overflows for ranges above 1e12 and vanishes ' +
      'below 1e-10; it then shrinks the range to nonsense. We scale the range by a power of two first.',
    pattern: /^default:HistogramObserver eps=1e-30 (1e20|1e-14)$/,
  },
  {
    id: 'histogram-counts-in-float64',
    reason:
      'torch counts in float32 and rounds whenever the range grows; over many batches its counts drift by up to 2^-20. ' +
      'Ours are float64. The range that the search finds is the same.',
    pattern: /^default:HistogramObserver .* 24 \w+ batches$/,
    results: ['histogram'],
  },
  {
    id: 'symmetric-reduced-zero-point',
    reason:
      'Unsigned, symmetric and reduced: torch keeps zero point 128, which is no code of 0..127, so that all but the most ' +
      'negative values end at 127 (for quint8 its min-max observers refuse). We take the middle of the codes, 63.',
    pattern: /^default:\w+Observer dtype=q?uint8,reduceRange=True,qscheme=per_\w+_symmetric reduced$/,
    results: ['zero_point'],
  },
  {
    id: 'fused-qparams-are-the-observers',
    reason:
      'The fused fake-quantize of torch trains with qparams of another rule than its observer reports and a conversion ' +
      'uses. In the default numerics both are those of the observer, refreshed with every batch that is observed.',
    pattern:
      /^default:fake quantize (default_fused_\w+_fake_quant|fused_(per_channel_)?wt_fake_quant_range_neg_127_to_127)$/,
  },
  {
    id: 'fake-quantize-float-zero-point',
    reason:
      'With float zero points fake_quantize of torch rounds x·inv + zp once, quantize rounds it twice, and values come ' +
      'from a product in double. In the default numerics fake-quantize equals quantize, then dequantize.',
    pattern: /^default:fake quantize default_embedding_fake_quant$/,
  },
];

function any(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => `(?:${source})`).join('|'));
}

/** The deviation that covers a case, if any. */
export function deviationOf(numerics: string, id: string): Deviation | undefined {
  return DEVIATIONS.find(({ pattern }) => pattern.test(`${numerics}:${id}`));
}
