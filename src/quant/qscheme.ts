/** What the names of the quantization schemes mean. */
import type { QScheme } from './types.ts';

export interface QSchemeInfo {
  /** One scale and zero point a channel (or block) instead of one a tensor. */
  readonly perChannel: boolean;
  /**
   * - `affine`: the range [min, max], widened to hold 0, fills the codes.
   * - `symmetric`: the range is ±max(|min|, |max|); the zero point depends on the dtype alone.
   * - `float`: the range as it is, 0 not added; the zero point is a float32.
   */
  readonly mapping: 'affine' | 'symmetric' | 'float';
}

export const QSCHEMES: Readonly<Record<QScheme, QSchemeInfo>> = {
  per_tensor_affine: { perChannel: false, mapping: 'affine' },
  per_tensor_symmetric: { perChannel: false, mapping: 'symmetric' },
  per_channel_affine: { perChannel: true, mapping: 'affine' },
  per_channel_symmetric: { perChannel: true, mapping: 'symmetric' },
  per_channel_affine_float_qparams: { perChannel: true, mapping: 'float' },
};

/** The row of a scheme. Throws TypeError for an unknown name. */
export function qschemeInfo(qscheme: QScheme): QSchemeInfo {
  if (!Object.hasOwn(QSCHEMES, qscheme)) {
    throw new TypeError(
      `qscheme: expected one of ${Object.keys(QSCHEMES).join(', ')}, got ${String(qscheme)}`,
    );
  }
  return QSCHEMES[qscheme];
}
