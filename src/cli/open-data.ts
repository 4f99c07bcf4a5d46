/** Calibration data of the command line: a file, or a folder of images. */
import { readdir } from 'node:fs/promises';
import { join, sep } from 'node:path';
import {
  batchSizeFor,
  inputValues,
  openCalibrationData,
  openImageData,
  type CalibrationData,
  type CalibrationDataOptions,
  type DataPart,
  type Model,
  type Shard,
} from 'zeropoint/onnx';
import { UsageError } from './errors.ts';
import { isFolder } from './files.ts';
import { openSharp } from './runtime.ts';
import type { ConfigurationOptions, DataOptions } from './verbs/options.ts';

/** Words that speak of images. */
const IMAGE_WORDS = ['size', 'crop', 'mean', 'std', 'scale', 'layout', 'channels'] as const;

/** Words that say which samples are looked at and how, as they are written. */
const DATA_WORDS = {
  samples: '--samples',
  batchSize: '--batch-size',
  shuffle: '--shuffle',
  size: '--size',
  crop: '--crop',
  mean: '--mean',
  std: '--std',
  scale: '--scale',
  layout: '--layout',
  channels: '--channels',
} as const satisfies Record<keyof Omit<DataOptions, 'calibrate'>, string>;

/** `words` as they were given: what a file says of data is idle where there is none. @throws UsageError for words about no data */
export function checkDataWords(words: DataOptions, data: string | undefined): void {
  if (data !== undefined) return;
  const said = Object.entries(DATA_WORDS).find(([name]) => words[name as keyof DataOptions] !== undefined);
  if (said === undefined) return;
  throw new UsageError(
    `${said[1]}: expected data (--calibrate) that it speaks of, got none`,
    `Add --calibrate, or leave ${said[1]} out.`,
  );
}

/** The data of `--calibrate`; undefined without it. @throws UsageError for words about images beside other data */
export async function openData(
  model: Model,
  options: ImageWords & { readonly shard?: Shard },
): Promise<CalibrationData | undefined> {
  const { calibrate: path, batchSize, samples, shuffle, shard } = options;
  if (path === undefined) return undefined;
  const seed = seedOf(shuffle);
  const dealing: CalibrationDataOptions = {
    batchSize,
    defaultBatchSize: batchSizeFor(model),
    samples,
    seed,
    shard,
  };
  if (await isFolder(path)) return openFolder(path, model, options, dealing);
  const word = IMAGE_WORDS.find((name) => options[name] !== undefined);
  if (word !== undefined) {
    throw new UsageError(
      `--${word}: expected a folder of images (--calibrate), got a file: ${path}`,
      'Samples in files are fed as they are.',
    );
  }
  return openCalibrationData(path, inputValues(model), dealing);
}

/** What a plan and a report remember of the data. */
export function dataPart(
  { samples, batchSize, decoder }: CalibrationData,
  { calibrate: source = '', shuffle, shard }: DataOptions & { readonly shard?: Shard },
): DataPart {
  const seed = seedOf(shuffle);
  return {
    source,
    samples,
    batchSize,
    ...(seed !== undefined && { seed }),
    ...(shard !== undefined && { shard }),
    ...(decoder !== undefined && { decoder }),
  };
}

/** `--shuffle` without a seed has one all the same: the result can be had again. */
function seedOf(shuffle: DataOptions['shuffle']): number | undefined {
  return shuffle === true ? 0 : shuffle;
}

/** What is taken for an image. Other files (labels, licences) are passed over. */
const IMAGE = /\.(png|jpe?g|webp|gif|bmp|tiff?|avif)$/i;

/** Paths of a folder's images in it, with slashes, code unit by code unit: the same order on every system. */
export async function imagesIn(folder: string): Promise<readonly string[]> {
  const files = (await readdir(folder, { recursive: true })).filter((name) => IMAGE.test(name));
  return files.map((name) => name.split(sep).join('/')).toSorted((a, b) => (a < b ? -1 : 1));
}

async function openFolder(
  path: string,
  model: Model,
  options: ImageWords,
  dealing: CalibrationDataOptions,
): Promise<CalibrationData> {
  const files = (await imagesIn(path)).map((name) => join(path, name));
  const { size, crop, mean, std, scale, layout, channels } = options;
  try {
    return await openImageData(files, inputValues(model), {
      ...dealing,
      size: sides(size),
      crop: sides(crop),
      mean,
      std,
      scale,
      layout,
      channels,
      sharp: await openSharp(),
    });
  } catch (error) {
    throw toldAsWord(error, options);
  }
}

type ImageWords = DataOptions & Pick<ConfigurationOptions, 'config' | 'settings'>;

/** What the library refuses of an option by its name, as the word or the key that it came from. */
function toldAsWord(error: unknown, options: ImageWords): unknown {
  if (!(error instanceof RangeError)) return error;
  const [, name, text] = /^calibrate: (\w+): (expected .*)$/.exec(error.message) ?? [];
  const word = IMAGE_WORDS.find((known) => known === name);
  if (word === undefined) return error;
  const { settings, config } = options;
  const isFromFile = options[word] === settings?.calibration?.images?.[word];
  return new UsageError(`${isFromFile ? `${config}: calibration.images.${word}` : `--${word}`}: ${text}`);
}

function sides(size: readonly number[] | undefined): number | readonly [number, number] | undefined {
  if (size === undefined) return undefined;
  const [height, width] = size;
  return width === undefined ? height : [height, width];
}
