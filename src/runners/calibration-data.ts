/**
 * Calibration data from a file: NumPy's `.npz` and `.npy`, or `.jsonl`, told apart by their first bytes. Batches are read
 * when they are asked for; memory is one batch, however many samples the file has.
 */
import { checkOptions } from '../errors/check-options.ts';
import { FormatError } from '../errors.ts';
import { openSource, type SourceLike } from '../formats/source.ts';
import { npySamples, npzSamples } from './calibration-arrays.ts';
import { lineSamples } from './calibration-lines.ts';
import {
  DATA_RULES,
  dealOut,
  type CalibrationData,
  type CalibrationDataOptions,
  type SampleSet,
} from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/**
 * Opens data for a model with these inputs ({@link inputValues}): `.npz` with an array for each input, `.npy` for a
 * model with one input (in both the first axis counts samples), or `.jsonl` with a sample a line.
 *
 * @throws CalibrationError CALIBRATION_INPUT for arrays or lines whose name, shape, dtype or number of samples does not
 *   fit, CALIBRATION_EMPTY if there is no sample; from `batches`, CALIBRATION_NAN with array and sample. FormatError for
 *   other files.
 * @example
 * const dealing = { samples: 128, seed: 1, defaultBatchSize: batchSizeFor(model) };
 * const data = await openCalibrationData('data.npz', inputValues(model), dealing);
 * const { model: int8 } = await quantizeStatic(model, { batches: data.batches() });
 */
export async function openCalibrationData(
  source: SourceLike,
  inputs: readonly RunnerValue[],
  options: CalibrationDataOptions = {},
): Promise<CalibrationData> {
  checkOptions('openCalibrationData', options, DATA_RULES);
  return dealOut(await openSamples(source, inputs), options);
}

/** First bytes of a zip archive: a local header, or the directory's end if it is empty. */
const ZIP = ['PK\u0003\u0004', 'PK\u0005\u0006'];
const NPY = '\u0093NUM';
/** An object in JSON, after a byte order mark or blanks. */
const JSON_OBJECT = /^(\u00EF\u00BB\u00BF)?\s*\{/;
const START = 64;

async function openSamples(input: SourceLike, inputs: readonly RunnerValue[]): Promise<SampleSet> {
  const { source } = await openSource(input);
  const start = String.fromCharCode(...(await source.read(0, Math.min(START, source.size))));
  if (ZIP.some((magic) => start.startsWith(magic))) return npzSamples(source, inputs);
  if (start.startsWith(NPY)) return npySamples(source, inputs);
  if (JSON_OBJECT.test(start)) return lineSamples(source, inputs);
  throw unknownFormat(source.name ?? 'source', source.size);
}

function unknownFormat(file: string, size: number): FormatError {
  return new FormatError(
    `${file}: expected an .npz, .npy or .jsonl file, got ${size === 0 ? 'an empty file' : 'other bytes'}`,
    {
      code: size === 0 ? 'FORMAT_EMPTY' : 'FORMAT_INVALID',
      hint:
        "In Python: numpy.savez('data.npz', name=array, ...), an array for each input, the first axis counting samples. " +
        'In .jsonl each line is {"name": [numbers], ...}.',
      details: { file },
    },
  );
}
