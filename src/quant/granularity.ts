/** What granularities and schemes mean for arguments: kinds of zero points, and words for messages. */
import type { Granularity } from './types.ts';

/** Whether a scheme has float zero points. Throws TypeError for a scheme of another granularity. */
export function zeroPointKind(
  qscheme: string | undefined,
  level: 'per_channel' | 'per_block',
  where: string,
): 'integer' | 'float' {
  if (qscheme === undefined || qscheme === `${level}_affine`) return 'integer';
  if (qscheme === `${level}_affine_float_qparams`) return 'float';
  throw new TypeError(
    `${where}: expected qscheme '${level}_affine' or '${level}_affine_float_qparams', got '${qscheme}'`,
  );
}

/** "axis 1" and the like, for messages about counts. */
export function describeParams(granularity: Granularity): string {
  switch (granularity.kind) {
    case 'per_tensor':
      return 'the whole tensor';
    case 'per_channel':
      return `the size of axis ${granularity.axis}`;
    case 'per_block':
      return `the blocks of ${granularity.blockSize} along axis ${granularity.axis}`;
    default:
      return granularity satisfies never;
  }
}
