/**
 * Calibration data from NumPy files: `.npz` with an array for each input of the model, or `.npy` for a model with one
 * input. The first axis counts samples. Batches are read when they are asked for; memory is one batch, however many
 * samples the file has.
 */
import { CalibrationError, FormatError } from '../errors.ts';
import { openNpy, type NpyArray } from '../formats/npy/npy.ts';
import { openNpz } from '../formats/npy/npz.ts';
import { openSource, type SourceLike } from '../formats/source.ts';
import { allocate, dtypeInfo, type TensorData } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { elementValues } from '../tensor/values.ts';
import { checkNames, fitsShape, inputError } from './feeds.ts';
import { pickSamples } from './pick-samples.ts';
import type { RunnerValue } from './types.ts';

/** How {@link openCalibrationData} deals out the samples. */
export interface CalibrationDataOptions {
  /** Samples in one batch. Default 32, or what the model fixes. The last batch may be smaller. */
  readonly batchSize?: number;
  /** How many samples to use. Default: all. */
  readonly samples?: number;
  /** Draw the samples at random with this seed, in the order of the file; without it, take the first. */
  readonly seed?: number;
}

/** Calibration data that is open: its size, and passes over it. */
export interface CalibrationData {
  /** Samples that one pass gives: those asked for, less what does not fill a batch that the model fixes. */
  readonly samples: number;
  readonly batchSize: number;
  /** One pass over the samples, or over the first `samples` of them. */
  batches(options?: { readonly samples?: number }): AsyncGenerator<Record<string, Tensor>>;
}

const DEFAULT_BATCH = 32;
/** Where errors say they come from. */
const WHERE = 'calibrate';

/** An array of the file and the input that it feeds. */
interface Column {
  readonly input: RunnerValue;
  readonly array: NpyArray;
  /** Shape of one sample in a feed; a batch puts its size before it, a bare sample does not. */
  readonly sampleShape: readonly number[];
  /** True if the input has no axis for samples: then each sample is a run of its own. */
  readonly bare: boolean;
}

/**
 * Opens data for a model with these inputs ({@link inputValues}).
 *
 * @throws CalibrationError CALIBRATION_INPUT for arrays whose name, shape, dtype or number of samples does not fit,
 *   CALIBRATION_EMPTY if there is no sample; from `batches`, CALIBRATION_NAN with array and sample. FormatError for
 *   files that are neither .npz nor .npy.
 */
export async function openCalibrationData(
  source: SourceLike,
  inputs: readonly RunnerValue[],
  options: CalibrationDataOptions = {},
): Promise<CalibrationData> {
  const columns = columnsOf(await openArrays(source, inputs), inputs);
  const available = commonLength(columns);
  const batchSize = batchSizeOf(columns, options.batchSize);
  const fixed = fixedBatch(columns) !== undefined;
  const wanted = Math.min(options.samples ?? available, available);
  const samples = fixed ? wanted - (wanted % batchSize) : wanted;
  if (samples === 0) throw emptyError(available, batchSize, fixed);
  return {
    samples,
    batchSize,
    batches: ({ samples: limit = samples } = {}) =>
      readBatches(columns, pickSamples(available, Math.min(limit, samples), options.seed), batchSize),
  };
}

/** First bytes of a zip archive: a local header, or the directory's end if it is empty. */
const ZIP = new Set(['PK\u0003\u0004', 'PK\u0005\u0006']);
const NPY = '\u0093NUM';

/** Arrays by the name of the input that they are for. */
async function openArrays(
  input: SourceLike,
  inputs: readonly RunnerValue[],
): Promise<ReadonlyMap<string, NpyArray>> {
  const { source } = await openSource(input);
  const start = String.fromCharCode(...(await source.read(0, Math.min(NPY.length, source.size))));
  if (ZIP.has(start)) {
    const file = await openNpz(source);
    const arrays = new Map<string, NpyArray>();
    for (const name of file.names) arrays.set(name, await file.array(name));
    return arrays;
  }
  if (start !== NPY) throw notNumpy(source.name ?? 'source', source.size);
  // An array in a file of its own has no name: it is for the only input.
  const array = await openNpy(source);
  return new Map([[inputs.length === 1 ? inputs[0].name : array.name, array]]);
}

function notNumpy(file: string, size: number): FormatError {
  return new FormatError(
    `${file}: expected an .npz or .npy file, got ${size === 0 ? 'an empty file' : 'other bytes'}`,
    {
      code: size === 0 ? 'FORMAT_EMPTY' : 'NPY_INVALID',
      hint: "In Python: numpy.savez('data.npz', name=array, ...), an array for each input, the first axis counting samples.",
      details: { file },
    },
  );
}

function columnsOf(arrays: ReadonlyMap<string, NpyArray>, inputs: readonly RunnerValue[]): readonly Column[] {
  checkNames(inputs, [...arrays.keys()], WHERE);
  // checkNames has seen an array for each input.
  return inputs.map((input) => columnOf(input, arrays.get(input.name) as NpyArray));
}

function columnOf(input: RunnerValue, array: NpyArray): Column {
  const { dtype, shape } = array;
  const perSample = shape.slice(1);
  // One axis more than the input: each sample is a whole feed (a scalar, or an input without an axis for samples).
  const bare = input.shape?.length === perSample.length && fitsShape(input.shape, perSample);
  if (shape.length === 0 || (!bare && !fitsSamples(input, array))) throw inputError(input, array, WHERE);
  if (dtype !== input.dtype) throw inputError(input, array, WHERE);
  return { input, array, sampleShape: perSample, bare };
}

/** The first axis may have any length: samples are dealt out in batches of the size that the input wants. */
function fitsSamples(input: RunnerValue, array: NpyArray): boolean {
  return input.shape === undefined || fitsShape([undefined, ...input.shape.slice(1)], array.shape);
}

function commonLength(columns: readonly Column[]): number {
  const lengths = columns.map(({ array }) => array.shape[0]);
  const [first = 0] = lengths;
  const other = columns.find(({ array }) => array.shape[0] !== first);
  if (other === undefined) return first;
  throw new CalibrationError(
    `${WHERE}: expected as many samples in every array, got ${columns.map(({ input, array }) => `${array.shape[0]} in '${input.name}'`).join(', ')}`,
    { code: 'CALIBRATION_INPUT', hint: 'The first axis of each array counts samples.', details: { lengths } },
  );
}

/** The batch size that an input fixes; undefined if none does. */
function fixedBatch(columns: readonly Column[]): number | undefined {
  if (columns.some(({ bare }) => bare)) return 1;
  const sizes = columns.map(({ input }) => input.shape?.[0]);
  return sizes.find((size): size is number => typeof size === 'number');
}

function batchSizeOf(columns: readonly Column[], wanted: number | undefined): number {
  const fixed = fixedBatch(columns);
  if (fixed === undefined || wanted === undefined || wanted === fixed)
    return fixed ?? wanted ?? DEFAULT_BATCH;
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
        : 'The first axis counts samples.',
  });
}

async function* readBatches(
  columns: readonly Column[],
  indices: Iterable<number>,
  batchSize: number,
): AsyncGenerator<Record<string, Tensor>> {
  for (const batch of chunks(indices, batchSize)) {
    const feeds: Record<string, Tensor> = {};
    for (const column of columns) {
      const data = await gather(batch, column.array);
      checkNumbers(data, batch, column);
      const shape = column.bare ? column.sampleShape : [batch.length, ...column.sampleShape];
      feeds[column.input.name] = new Tensor(column.input.dtype, shape, data);
    }
    yield feeds;
  }
}

function* chunks(indices: Iterable<number>, size: number): Generator<readonly number[]> {
  let chunk: number[] = [];
  for (const index of indices) {
    chunk.push(index);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** The rows of a batch: in one read if they lie together. */
async function gather(batch: readonly number[], array: NpyArray): Promise<TensorData> {
  const first = batch[0];
  if (batch[batch.length - 1] === first + batch.length - 1)
    return (await array.rows(first, batch.length)).data;
  const rowLength = elementCount(array.shape.slice(1));
  const data = allocate(array.dtype, batch.length * rowLength);
  for (const [i, index] of batch.entries()) {
    // Both are arrays of one dtype, so numbers meet numbers and bigints bigints.
    (data as Float32Array).set((await array.rows(index, 1)).data as Float32Array, i * rowLength);
  }
  return data;
}

function checkNumbers(data: TensorData, batch: readonly number[], { input, array }: Column): void {
  if (dtypeInfo(array.dtype).kind !== 'float') return;
  const values = elementValues({ dtype: array.dtype, shape: [data.length], data });
  const at = indexOfNaN(values as ArrayLike<number>);
  if (at < 0) return;
  const sample = batch[Math.floor(at / (data.length / batch.length))];
  throw new CalibrationError(
    `${WHERE}: expected numbers in array '${input.name}', got NaN in sample ${sample}`,
    {
      code: 'CALIBRATION_NAN',
      hint: `Samples count from 0. Mend or leave out sample ${sample}.`,
      details: { array: input.name, sample },
    },
  );
}

function indexOfNaN(values: ArrayLike<number>): number {
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i])) return i;
  return -1;
}
