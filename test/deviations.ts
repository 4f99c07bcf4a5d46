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
}

export const DEVIATIONS: readonly Deviation[] = [
  {
    id: 'nan-is-zero-point',
    reason:
      'torch turns NaN into an end of the range, 0 or what an integer conversion gives, depending on the op. ' +
      'In the default numerics NaN becomes the zero point (value 0) everywhere.',
    pattern: any(
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
      /^torch-2\.13:quantize_per_channel_float\/qint8\/.*\/huge$/,
      /^torch-2\.13:quantize_per_channel_float\/quint\w+\/(3x4\/axis\d|2x3x4\/axis[02])\/huge$/,
    ),
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
];

function any(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => `(?:${source})`).join('|'));
}

/** The deviation that covers a case, if any. */
export function deviationOf(numerics: string, id: string): Deviation | undefined {
  return DEVIATIONS.find(({ pattern }) => pattern.test(`${numerics}:${id}`));
}
