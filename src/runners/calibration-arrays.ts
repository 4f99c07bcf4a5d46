/**
 * Samples in NumPy files: `.npz` with an array for each input of the model, or `.npy` for a model with one input. The
 * first axis counts samples.
 */
import { CalibrationError } from '../errors.ts';
import { openNpy, type NpyArray } from '../formats/npy/npy.ts';
import { openNpz } from '../formats/npy/npz.ts';
import type { Source } from '../formats/source.ts';
import { allocate, dtypeInfo, type TensorData } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { elementValues } from '../tensor/values.ts';
import { checkNames, fitsShape, inputError } from './feeds.ts';
import { withSampleCount } from './sample-count.ts';
import { WHERE, type SampleSet } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/** An array of the file and the input that it feeds. */
interface Column {
  readonly input: RunnerValue;
  readonly array: NpyArray;
  /** Shape of one sample in a feed; a batch puts its size before it, a bare sample does not. */
  readonly sampleShape: readonly number[];
  /** True if the input has no axis for samples: then each sample is a run of its own. */
  readonly bare: boolean;
}

/** The samples of an `.npz` file. */
export async function npzSamples(source: Source, inputs: readonly RunnerValue[]): Promise<SampleSet> {
  const file = await openNpz(source);
  const arrays = new Map<string, NpyArray>();
  for (const name of file.names) arrays.set(name, await file.array(name));
  return arraySamples(arrays, inputs);
}

/** The samples of an `.npy` file: it has no name, so it is for the only input. */
export async function npySamples(source: Source, inputs: readonly RunnerValue[]): Promise<SampleSet> {
  const array = await openNpy(source);
  return arraySamples(new Map([[inputs.length === 1 ? inputs[0].name : array.name, array]]), inputs);
}

function arraySamples(arrays: ReadonlyMap<string, NpyArray>, inputs: readonly RunnerValue[]): SampleSet {
  const columns = columnsOf(arrays, inputs);
  return {
    available: commonLength(columns),
    fixedBatch: fixedBatch(columns),
    oneBatch: true,
    open: () => async (places) => [await readBatch(columns, places)],
  };
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

async function readBatch(
  columns: readonly Column[],
  places: readonly number[],
): Promise<Record<string, Tensor>> {
  const feeds: Record<string, Tensor> = {};
  for (const column of columns) {
    const data = await gather(places, column.array);
    checkNumbers(data, places, column);
    const shape = column.bare ? column.sampleShape : [places.length, ...column.sampleShape];
    feeds[column.input.name] = new Tensor(column.input.dtype, shape, data);
  }
  return withSampleCount(feeds, places.length);
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
