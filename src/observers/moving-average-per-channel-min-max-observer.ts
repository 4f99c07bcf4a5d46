import { checkAveragingConstant, DEFAULT_AVERAGING_CONSTANT } from './averaging-constant.ts';
import { mergeError } from './observer.ts';
import {
  CHANNEL_DEFAULTS,
  channelGranularity,
  type PerChannelMinMaxObserverOptions,
} from './per-channel-min-max-observer.ts';
import { movingAverage, RangeObserver } from './range-observer.ts';

/** Options of {@link MovingAveragePerChannelMinMaxObserver}. */
export interface MovingAveragePerChannelMinMaxObserverOptions extends PerChannelMinMaxObserverOptions {
  /** Weight of the newest batch, in (0, 1]; 1 means no memory. Default 0.01. */
  readonly averagingConstant?: number;
}

/**
 * Moving average of each channel's smallest and largest value in a batch, updated as
 * {@link MovingAverageMinMaxObserver} does. torch `MovingAveragePerChannelMinMaxObserver`. Cannot be merged.
 */
export class MovingAveragePerChannelMinMaxObserver extends RangeObserver {
  static override readonly type: string = 'MovingAveragePerChannelMinMaxObserver';
  static override readonly defaults: object = {
    averagingConstant: DEFAULT_AVERAGING_CONSTANT,
    ...CHANNEL_DEFAULTS,
  };
  readonly averagingConstant: number;
  readonly chAxis: number;
  readonly blockSize: number | undefined;

  constructor(options: MovingAveragePerChannelMinMaxObserverOptions = {}) {
    const { averagingConstant = DEFAULT_AVERAGING_CONSTANT } = options;
    checkAveragingConstant(averagingConstant);
    const update = movingAverage(averagingConstant);
    super(options, { perChannel: true, dynamic: false }, channelGranularity(options), update);
    this.averagingConstant = averagingConstant;
    this.chAxis = options.chAxis ?? 0;
    this.blockSize = options.blockSize;
  }

  /** Average of each channel's smallest values; empty before the first batch. A copy. */
  get minVal(): Float32Array {
    return this.min.slice();
  }

  /** Average of each channel's largest values; empty before the first batch. A copy. */
  get maxVal(): Float32Array {
    return this.max.slice();
  }

  protected override absorb(): void {
    throw mergeError(
      this,
      'an observer that can be merged: a moving average depends on the order of the batches',
    );
  }
}
