/**
 * Samples in `.jsonl`: each line is `{ "input": numbers, ... }`, one sample. A first pass counts the lines; each later one
 * reads the file from its start and parses only the lines that were picked, so that memory is one batch.
 */
import { CalibrationError, FormatError } from '../errors.ts';
import type { Source } from '../formats/source.ts';
import { allocate } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { lineValue, type LinePlace } from './line-value.ts';
import { checkNames } from './feeds.ts';
import { readLines, type Line } from './read-lines.ts';
import { withSampleCount } from './sample-count.ts';
import { WHERE, type SampleSet } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/** A sample: its values, and whether they bring the axis of samples with them. */
interface Sample {
  readonly line: number;
  readonly values: Readonly<Record<string, Tensor>>;
  /** Inputs whose value has the batch axis already; then the sample is a run of its own. */
  readonly whole: ReadonlySet<string>;
}

/** More than any input has axes: NumPy's limit. What reads nested arrays calls itself at each level. */
const MAX_NESTING = 64;

/**
 * @throws CalibrationError CALIBRATION_INPUT if the first line does not fit the inputs, FormatError FORMAT_INVALID if it
 *   is no JSON; passes throw the same for later lines. FormatError FORMAT_LIMIT for a line above the limit,
 *   or arrays nested more than 64 deep.
 */
export async function lineSamples(source: Source, inputs: readonly RunnerValue[]): Promise<SampleSet> {
  let available = 0;
  let first: Sample | undefined;
  for await (const line of readLines(source)) {
    first ??= parseSample(line, source, inputs);
    available++;
  }
  const fixedBatch = first !== undefined && first.whole.size > 0 ? 1 : fixedSize(inputs);
  return {
    available,
    fixedBatch,
    oneBatch: false,
    open() {
      const lines = readLines(source);
      let next = 0;
      return async (places) => {
        const samples: Sample[] = [];
        for (const place of places) {
          const line = await lineAt(lines, place - next);
          next = place + 1;
          // The source refuses to be read once the file has changed, so there are as many lines as were counted.
          if (line !== undefined) samples.push(parseSample(line, source, inputs));
        }
        return batchesOf(samples, fixedBatch, source);
      };
    },
  };
}

function fixedSize(inputs: readonly RunnerValue[]): number | undefined {
  return inputs.map(({ shape }) => shape?.[0]).find((size): size is number => typeof size === 'number');
}

async function lineAt(lines: AsyncGenerator<Line>, skip: number): Promise<Line | undefined> {
  for (let i = 0; i < skip; i++) await lines.next();
  const { value } = await lines.next();
  return value as Line | undefined;
}

function parseSample(line: Line, source: Source, inputs: readonly RunnerValue[]): Sample {
  const place: LinePlace = { file: source.name ?? 'source', line: line.number };
  const record = parseLine(line, place);
  checkNames(inputs, Object.keys(record), `${WHERE}: ${place.file}: line ${place.line}`);
  const values: Record<string, Tensor> = {};
  const whole = new Set<string>();
  for (const input of inputs) {
    const { tensor, isWhole } = lineValue(record[input.name], input, place);
    values[input.name] = tensor;
    if (isWhole) whole.add(input.name);
  }
  return { line: line.number, values, whole };
}

function parseLine({ bytes }: Line, { file, line }: LinePlace): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw notJson(file, line, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const record = value as Readonly<Record<string, unknown>>;
    checkNesting(record, file, line);
    return record;
  }
  throw notJson(file, line, Array.isArray(value) ? 'an array' : `${value === null ? 'null' : typeof value}`);
}

function checkNesting(record: Readonly<Record<string, unknown>>, file: string, line: number): void {
  const name = Object.keys(record).find((key) => isDeeper(record[key], MAX_NESTING));
  if (name === undefined) return;
  throw new FormatError(
    `${file}: line ${line}: input '${name}': expected arrays nested at most ${MAX_NESTING} deep, got deeper ones`,
    {
      code: 'FORMAT_LIMIT',
      hint: 'Write one array for each axis of the input.',
      details: { file, line, input: name },
    },
  );
}

/** True for arrays inside one another more than `levels` deep. */
function isDeeper(value: unknown, levels: number): boolean {
  if (!Array.isArray(value)) return false;
  return levels === 0 || value.some((item) => Array.isArray(item) && isDeeper(item, levels - 1));
}

function notJson(file: string, line: number, got: string, cause?: unknown): FormatError {
  return new FormatError(`${file}: line ${line}: expected a JSON object, got ${got}`, {
    code: 'FORMAT_INVALID',
    hint: 'Each line is one sample: {"name of an input": [numbers], ...}. NaN is no JSON.',
    details: { file, line },
    cause,
  });
}

/** Samples of equal shapes go together, in the order in which shapes appear. */
function batchesOf(
  samples: readonly Sample[],
  fixedBatch: number | undefined,
  source: Source,
): readonly Readonly<Record<string, Tensor>>[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { line, values, whole } = sample;
    const key =
      whole.size > 0 ? `line ${line}` : JSON.stringify(Object.values(values).map(({ shape }) => shape));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [sample]);
    else group.push(sample);
  }
  if (fixedBatch !== undefined && fixedBatch > 1 && groups.size > 1) throw unequalError(samples, source);
  return Array.from(groups.values(), stack);
}

function unequalError(samples: readonly Sample[], source: Source): CalibrationError {
  const [first, last] = [samples[0].line, samples[samples.length - 1].line];
  return new CalibrationError(
    `${WHERE}: ${source.name}: expected equal shapes in lines ${first} to ${last}, which the model takes together, ` +
      'got different ones',
    {
      code: 'CALIBRATION_INPUT',
      hint: 'Pad the samples to one length, or export the model with a batch axis of any size.',
      details: { first, last },
    },
  );
}

function stack(samples: readonly Sample[]): Readonly<Record<string, Tensor>> {
  const feeds: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(samples[0].values)) {
    feeds[name] = samples[0].whole.has(name) ? value : stackOne(samples.map(({ values }) => values[name]));
  }
  return withSampleCount(feeds, samples.length);
}

function stackOne(values: readonly Tensor[]): Tensor {
  const [{ dtype, shape }] = values;
  const length = elementCount(shape);
  const data = allocate(dtype, values.length * length);
  // All are arrays of one dtype, so numbers meet numbers and bigints bigints.
  for (const [i, value] of values.entries())
    (data as Float32Array).set(value.data as Float32Array, i * length);
  return new Tensor(dtype, [values.length, ...shape], data);
}
