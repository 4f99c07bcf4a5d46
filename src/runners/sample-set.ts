/**
 * Samples, wherever they come from, dealt out in batches.
 *
 *   places = pickSamples(...), cut into groups of `batchSize`; shard i of n has the groups i - 1, i - 1 + n, ...
 *
 * Shards are made of whole groups, so that together they run the very batches that one pass over everything runs.
 */
import { checkOptions, members, type Rule } from '../errors/check-options.ts';
import { wholeFrom } from '../errors/option-rules.ts';
import { CalibrationError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { pickSamples } from './pick-samples.ts';

/** Where errors say they come from. */
export const WHERE = 'calibrate';

/** Samples that lie somewhere. Nothing is read before a pass. */
export interface SampleSet {
  /** How many there are. */
  readonly available: number;
  /** Samples in a batch, if the inputs of the model fix it. */
  readonly fixedBatch: number | undefined;
  /** True if samples that are asked for together are always one batch; false if their shapes may differ. */
  readonly oneBatch: boolean;
  /** What made numbers of files, where another program would give others: `sharp 0.35.5 (libvips 8.18.7)`. */
  readonly decoder?: string;
  /** Begins a pass. */
  open(): SampleReader;
}

/** Gives the samples at these places as batches. Places ascend, within a call and from call to call. */
export type SampleReader = (
  places: readonly number[],
) => Promise<readonly Readonly<Record<string, Tensor>>[]>;

/** A part of a data set: `{ index: 2, count: 8 }` is the second of eight. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** How samples are dealt out. */
export interface CalibrationDataOptions {
  /** Samples in one batch. Default: what the model fixes, else `defaultBatchSize`. The last batch may be smaller. */
  readonly batchSize?: number;
  /** Used where neither `batchSize` nor the model says. Default 32; `batchSizeFor(model)` suits large models too. */
  readonly defaultBatchSize?: number;
  /** How many samples to use. Default: all. */
  readonly samples?: number;
  /** Draw the samples at random with this seed, in the order of the file; without it, take the first. */
  readonly seed?: number;
  /** Only this part of the batches. Default: all of them. */
  readonly shard?: Shard;
}

export const DATA_RULES = {
  batchSize: wholeFrom(1),
  defaultBatchSize: wholeFrom(1),
  samples: wholeFrom(1),
  seed: wholeFrom(0, 2 ** 32 - 1),
  shard: members({ index: wholeFrom(1), count: wholeFrom(1) } satisfies Record<keyof Shard, Rule>),
} satisfies Record<keyof CalibrationDataOptions, Rule>;

/** One pass over calibration data. */
export interface PassOptions {
  /** Only the first of the samples. */
  readonly samples?: number;
  /** Batches to leave out at the start, because an earlier pass has shown them. */
  readonly skip?: number;
}

const PASS_RULES = {
  samples: wholeFrom(0),
  skip: wholeFrom(0),
} satisfies Record<keyof PassOptions, Rule>;

/** Calibration data that is open: its size, and passes over it. */
export interface CalibrationData {
  /** Samples that one pass gives: those asked for, less what does not fill a batch that the model fixes. */
  readonly samples: number;
  readonly batchSize: number;
  /** What decoded the images, if the data is images: decoders differ by a few levels where files are lossy. */
  readonly decoder?: string;
  /** One pass over the samples. */
  batches(options?: PassOptions): AsyncGenerator<Record<string, Tensor>>;
}

/** Samples in a batch if nobody says. */
export const DEFAULT_BATCH = 32;

/** @throws CalibrationError CALIBRATION_INPUT for a batch size that the model does not take, CALIBRATION_EMPTY */
export function dealOut(set: SampleSet, options: CalibrationDataOptions): CalibrationData {
  const { available, fixedBatch } = set;
  const { seed, shard } = options;
  checkShard(shard);
  const batchSize = batchSizeOf(fixedBatch, options);
  const wanted = Math.min(options.samples ?? available, available);
  const used = fixedBatch === undefined ? wanted : wanted - (wanted % batchSize);
  if (used === 0) throw emptyError(available, batchSize, fixedBatch !== undefined);
  const samples = samplesOf(used, batchSize, shard);
  if (samples === 0) throw emptyShardError(Math.ceil(used / batchSize), shard);
  return {
    samples,
    batchSize,
    ...(set.decoder !== undefined && { decoder: set.decoder }),
    batches: (pass = {}) => {
      checkOptions('batches', pass, PASS_RULES);
      const { samples: limit = used, skip = 0 } = pass;
      const places = pickSamples(available, Math.min(limit, used), seed);
      return readBatches(set, groupsOf(places, batchSize, shard), skip);
    },
  };
}

function checkShard(shard: Shard | undefined): void {
  if (shard === undefined) return;
  const { index, count } = shard;
  const isOne = Number.isSafeInteger(index) && Number.isSafeInteger(count) && index >= 1 && index <= count;
  if (isOne) return;
  throw new RangeError(`${WHERE}: expected a shard from 1 to its count, got ${index} of ${count}`);
}

function batchSizeOf(
  fixed: number | undefined,
  { batchSize: wanted, defaultBatchSize = DEFAULT_BATCH }: CalibrationDataOptions,
): number {
  if (fixed === undefined || wanted === undefined || wanted === fixed)
    return fixed ?? wanted ?? defaultBatchSize;
  throw new CalibrationError(`${WHERE}: expected batches of ${fixed}, which the model fixes, got ${wanted}`, {
    code: 'CALIBRATION_INPUT',
    hint: 'Leave the batch size out.',
  });
}

function emptyError(available: number, batchSize: number, fixed: boolean): CalibrationError {
  const least = fixed ? batchSize : 1;
  return new CalibrationError(`${WHERE}: expected at least ${least} samples, got ${available}`, {
    code: 'CALIBRATION_EMPTY',
    hint:
      fixed && batchSize > 1
        ? `The model takes ${batchSize} samples at a time.`
        : 'Give a data set with at least one sample; in arrays the first axis counts samples.',
  });
}

function emptyShardError(groups: number, shard: Shard | undefined): CalibrationError {
  return new CalibrationError(
    `${WHERE}: expected at least ${shard?.count} batches for as many shards, got ${groups}`,
    { code: 'CALIBRATION_EMPTY', hint: 'Shards are made of whole batches: use fewer, or smaller batches.' },
  );
}

/** Of `used` samples, those in the groups of the shard. */
function samplesOf(used: number, batchSize: number, shard: Shard = { index: 1, count: 1 }): number {
  let samples = 0;
  for (let start = (shard.index - 1) * batchSize; start < used; start += shard.count * batchSize) {
    samples += Math.min(batchSize, used - start);
  }
  return samples;
}

function* groupsOf(
  places: Iterable<number>,
  batchSize: number,
  { index, count }: Shard = { index: 1, count: 1 },
): Generator<readonly number[]> {
  let group: number[] = [];
  let number = 0;
  for (const place of places) {
    group.push(place);
    if (group.length < batchSize) continue;
    if (number++ % count === index - 1) yield group;
    group = [];
  }
  if (group.length > 0 && number % count === index - 1) yield group;
}

async function* readBatches(
  set: SampleSet,
  groups: Iterable<readonly number[]>,
  skip: number,
): AsyncGenerator<Record<string, Tensor>> {
  const read = set.open();
  let left = skip;
  for (const group of groups) {
    if (left > 0 && set.oneBatch) {
      left--;
      continue;
    }
    for (const batch of await read(group)) if (left-- <= 0) yield batch;
  }
}
