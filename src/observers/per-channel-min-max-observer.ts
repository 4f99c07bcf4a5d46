import type { Granularity } from '../quant/types.ts';
import { RangeObserver, widen } from './range-observer.ts';
import { PER_CHANNEL_DEFAULTS, type UniformOptions } from './uniform-observer.ts';

/** Options of {@link PerChannelMinMaxObserver}. */
export interface PerChannelMinMaxObserverOptions extends UniformOptions {
  /** Axis of the channels; negative counts from the back. Default 0. */
  readonly chAxis?: number;
  /** Groups of this many elements along the axis instead of channels (ONNX block-wise). Default: none. */
  readonly blockSize?: number;
}

export const CHANNEL_DEFAULTS: object = { chAxis: 0, blockSize: undefined, ...PER_CHANNEL_DEFAULTS };

/** Which elements share a range, by the options of the observers of channels. */
export function channelGranularity({ chAxis = 0, blockSize }: PerChannelMinMaxObserverOptions): Granularity {
  return blockSize === undefined
    ? { kind: 'per_channel', axis: chAxis }
    : { kind: 'per_block', axis: chAxis, blockSize };
}

/**
 * Smallest and largest value of each channel. torch `PerChannelMinMaxObserver`.
 *
 * With `blockSize`, of each block of that many elements along the axis: parameters in row-major order over the shape
 * with the axis replaced by its number of blocks. Merging is exact. The number of channels must not change between
 * batches (CALIBRATION_INPUT). One-dimensional tensors are allowed, each element a channel (torch refuses them).
 */
export class PerChannelMinMaxObserver extends RangeObserver {
  static override readonly type: string = 'PerChannelMinMaxObserver';
  static override readonly defaults: object = CHANNEL_DEFAULTS;
  readonly chAxis: number;
  readonly blockSize: number | undefined;

  constructor(options: PerChannelMinMaxObserverOptions = {}) {
    super(options, { perChannel: true, dynamic: false }, channelGranularity(options), widen);
    this.chAxis = options.chAxis ?? 0;
    this.blockSize = options.blockSize;
  }

  /** Smallest value of each channel; empty before the first batch. A copy. */
  get minVal(): Float32Array {
    return this.min.slice();
  }

  /** Largest value of each channel; empty before the first batch. A copy. */
  get maxVal(): Float32Array {
    return this.max.slice();
  }
}
