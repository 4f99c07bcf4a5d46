/**
 * Pixels → the numbers that a model was trained on, as torchvision's evaluation transform: shorter side to a length,
 * middle cut out, then for each channel
 *
 *   y = (x·scale - mean) / std     in float32; for uint8 inputs y = x
 */
import type { Rule } from '../errors/check-options.ts';
import { byType, listOf, numberFrom, oneOf, wholeFrom } from '../errors/option-rules.ts';
import { CalibrationError } from '../errors.ts';
import { roundHalfEven } from '../kernels/round.ts';
import type { Dim } from '../graph/value-type.ts';
import { checkPixels, type Pixels } from './decode-image.ts';
import { formatRunnerValue } from './feeds.ts';
import { resizeImage, type Raster } from './resize-image.ts';
import { WHERE } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/** Height and width, or one number: for `size` the shorter side, for `crop` both. */
export type ImageSize = number | readonly [height: number, width: number];

/** How images are prepared. What is not said is taken from the shape of the model's input. */
export interface ImageOptions {
  /** The shorter side's length, or both sides'. Default: as small as covers what is cut out. */
  readonly size?: ImageSize | undefined;
  /** What is cut out of the middle. Default: what the model takes; else a square of `size`. */
  readonly crop?: ImageSize | undefined;
  /** Subtracted from each channel: one number, or one a channel, in the order of `channels`. Default 0. */
  readonly mean?: readonly number[] | undefined;
  /** Divides each channel then. Default 1. */
  readonly std?: readonly number[] | undefined;
  /** Multiplies pixels of 0 to 255 first. Default 1/255. */
  readonly scale?: number | undefined;
  /** Order of the axes. Default: where the model's input has 1 or 3 channels, else NCHW. */
  readonly layout?: 'NCHW' | 'NHWC' | undefined;
  /** Default rgb, or gray if the model takes one channel (gray = 0.299 r + 0.587 g + 0.114 b). */
  readonly channels?: 'rgb' | 'bgr' | 'gray' | undefined;
}

const F32 = Math.fround;
const SCALE = 1 / 255;
const CHANNELS = { rgb: 3, bgr: 3, gray: 1 } as const;

/** One number, or height and width. */
const SIZE: Rule = byType({ number: wholeFrom(1), list: listOf(wholeFrom(1)) });
/** Whether they are finite and as many as there are channels is looked at where the channels are known. */
const NUMBERS: Rule = listOf(numberFrom(-Infinity));

export const IMAGE_RULES = {
  size: SIZE,
  crop: SIZE,
  mean: NUMBERS,
  std: NUMBERS,
  scale: numberFrom(-Infinity),
  layout: oneOf('NCHW', 'NHWC'),
  channels: oneOf(...Object.keys(CHANNELS)),
} satisfies Record<keyof ImageOptions, Rule>;

/** A transform that fits a model: the shape of a sample if it is known, and the deed. */
export interface ImageTransform {
  readonly fixedBatch: number | undefined;
  /** One sample, with the shape it has without an axis for samples. */
  apply(image: Pixels): { readonly shape: readonly number[]; readonly data: Float32Array | Uint8Array };
}

/** @throws CalibrationError CALIBRATION_INPUT for options or models that do not go together; TypeError, RangeError */
export function imageTransform(inputs: readonly RunnerValue[], options: ImageOptions): ImageTransform {
  const input = imageInput(inputs);
  const shape = input.shape ?? [undefined, undefined, undefined, undefined];
  const layout = options.layout ?? layoutOf(shape);
  const [channelDim, height, width] = layout === 'NCHW' ? shape.slice(1) : [shape[3], shape[1], shape[2]];
  const channels = options.channels ?? (channelDim === 1 ? 'gray' : 'rgb');
  if (typeof channelDim === 'number' && channelDim !== CHANNELS[channels]) {
    throw misfit(input, `${CHANNELS[channels]} channels (${channels}) in ${layout}`);
  }
  const cut = cutOf(input, options, [height, width]);
  const tables = input.dtype === 'uint8' ? undefined : valueTables(options, CHANNELS[channels]);
  if (tables === undefined) checkRaw(options);
  return {
    fixedBatch: typeof shape[0] === 'number' ? shape[0] : undefined,
    apply(pixels) {
      const image = crop(resized(raster(pixels, channels), cut), cut.crop);
      return { shape: sampleShape(image, layout), data: valuesOf(image, layout, tables) };
    },
  };
}

function imageInput(inputs: readonly RunnerValue[]): RunnerValue {
  const [input] = inputs;
  if (inputs.length !== 1) {
    throw new CalibrationError(
      `${WHERE}: expected a model with one input for images, got ${inputs.map(({ name }) => `'${name}'`).join(', ') || 'none'}`,
      { code: 'CALIBRATION_INPUT', hint: 'Store all inputs in an .npz file, an array for each.' },
    );
  }
  const isImage = input.shape === undefined || input.shape.length === 4;
  if (isImage && (input.dtype === 'float32' || input.dtype === 'uint8')) return input;
  throw misfit(input, 'images as float32 or uint8 with four axes');
}

function misfit(input: RunnerValue, got: string, hint?: string): CalibrationError {
  return new CalibrationError(
    `${WHERE}: input '${input.name}': expected ${formatRunnerValue(input)}, got ${got}`,
    { code: 'CALIBRATION_INPUT', ...(hint !== undefined && { hint }), details: { input: input.name } },
  );
}

function layoutOf(shape: readonly Dim[]): 'NCHW' | 'NHWC' {
  const isChannels = (dim: Dim): boolean => dim === 1 || dim === 3;
  return !isChannels(shape[1]) && isChannels(shape[3]) ? 'NHWC' : 'NCHW';
}

/** How an image is cut: resized so that its shorter side, or both, have a length, or that it covers the crop. */
interface Cut {
  readonly size: ImageSize | undefined;
  readonly crop: readonly [height: number, width: number] | undefined;
}

function cutOf(input: RunnerValue, { size, crop: wanted }: ImageOptions, model: readonly Dim[]): Cut {
  const [height, width] = model;
  const fixed =
    typeof height === 'number' && typeof width === 'number' ? ([height, width] as const) : undefined;
  const square = typeof size === 'number' ? size : undefined;
  const cut =
    pair(wanted) ?? (Array.isArray(size) && wanted === undefined ? undefined : (fixed ?? pair(square)));
  const result = cut ?? pair(size);
  if (result === undefined) {
    throw misfit(
      input,
      'images without a size',
      'Say which size the model takes: --size 224, or {size: 224}.',
    );
  }
  const fits = (dim: Dim, length: number): boolean => typeof dim !== 'number' || dim === length;
  if (!fits(height, result[0]) || !fits(width, result[1])) {
    throw misfit(input, `images of ${result.join(' x ')}`, 'Leave crop out, or give what the model takes.');
  }
  return { size, crop: cut };
}

function pair(size: ImageSize | undefined): readonly [height: number, width: number] | undefined {
  return typeof size === 'number' ? [size, size] : size;
}

/** Red, green, blue of a pixel as PIL's convert('L') weighs them, in 16 bits. */
const GRAY = [19595, 38470, 7471] as const;

function raster({ width, height, data }: Pixels, channels: keyof typeof CHANNELS): Raster {
  if (channels === 'rgb') return { width, height, channels: 3, data };
  const count = width * height;
  const out = new Uint8Array(count * CHANNELS[channels]);
  for (let i = 0; i < count; i++) {
    const [r, g, b] = [data[3 * i], data[3 * i + 1], data[3 * i + 2]];
    if (channels === 'bgr') out.set([b, g, r], 3 * i);
    else out[i] = (r * GRAY[0] + g * GRAY[1] + b * GRAY[2] + 0x8000) >> 16;
  }
  return { width, height, channels: CHANNELS[channels], data: out };
}

function resized(image: Raster, { size, crop: target }: Cut): Raster {
  const { width, height } = image;
  if (typeof size === 'object') return enlarged(image, size[0], size[1]);
  if (size === undefined) {
    const [h, w] = target ?? [height, width];
    const factor = Math.max(h / height, w / width);
    return enlarged(image, Math.max(h, Math.trunc(height * factor)), Math.max(w, Math.trunc(width * factor)));
  }
  const long = Math.trunc((size * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? enlarged(image, long, size) : enlarged(image, size, long);
}

/** A strip whose shorter side gets a length may become very long. */
function enlarged(image: Raster, height: number, width: number): Raster {
  checkPixels(width, height);
  return resizeImage(image, height, width);
}

/** torchvision's CenterCrop: top = round((height - crop) / 2), ties to even. */
function crop(image: Raster, target: readonly [height: number, width: number] | undefined): Raster {
  if (target === undefined) return image;
  const [height, width] = target;
  const { channels } = image;
  if (height > image.height || width > image.width) {
    throw new CalibrationError(
      `${WHERE}: expected images of at least ${height} x ${width} to cut from, got ${image.height} x ${image.width}`,
      { code: 'CALIBRATION_INPUT', hint: 'Give a size that is at least as large as crop.' },
    );
  }
  const top = roundHalfEven((image.height - height) / 2);
  const left = roundHalfEven((image.width - width) / 2);
  const data = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * channels;
    data.set(image.data.subarray(from, from + width * channels), y * width * channels);
  }
  return { width, height, channels, data };
}

function checkRaw({ mean, std, scale }: ImageOptions): void {
  if (mean === undefined && std === undefined && scale === undefined) return;
  throw new CalibrationError(`${WHERE}: expected no mean, std or scale for an input of uint8, got one`, {
    code: 'CALIBRATION_INPUT',
    hint: 'The model takes pixels as they are.',
  });
}

/** For each channel the value of each of the 256 levels. */
function valueTables(
  { mean = [0], std = [1], scale = SCALE }: ImageOptions,
  channels: number,
): readonly Float32Array[] {
  const counts = channels === 1 ? '1 value' : `1 value or ${channels}, one a channel`;
  for (const [name, values] of Object.entries({ mean, std })) {
    if (values.length === 1 || values.length === channels) continue;
    throw new RangeError(`${WHERE}: ${name}: expected ${counts}, got ${values.length}`);
  }
  checkNumbers('mean', mean);
  checkNumbers('std', std, 0);
  checkNumbers('scale', [scale], 0);
  return Array.from({ length: channels }, (_, c) => {
    const [m, s] = [F32(mean[c] ?? mean[0]), F32(std[c] ?? std[0])];
    return Float32Array.from({ length: 256 }, (_level, x) => F32(F32(F32(x * scale) - m) / s));
  });
}

function checkNumbers(name: string, values: readonly number[], forbidden?: number): void {
  const wrong = values.find((value) => !Number.isFinite(value) || value === forbidden);
  if (wrong === undefined) return;
  const wanted = forbidden === undefined ? 'finite values' : `finite values other than ${forbidden}`;
  throw new RangeError(`${WHERE}: ${name}: expected ${wanted}, got ${values.join(', ')}`);
}

function sampleShape({ width, height, channels }: Raster, layout: 'NCHW' | 'NHWC'): readonly number[] {
  return layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
}

function valuesOf(
  { width, height, channels, data }: Raster,
  layout: 'NCHW' | 'NHWC',
  tables: readonly Float32Array[] | undefined,
): Float32Array | Uint8Array {
  const count = width * height;
  const out = tables === undefined ? new Uint8Array(data.length) : new Float32Array(data.length);
  const [pixelStep, channelStep] = layout === 'NCHW' ? [1, count] : [channels, 1];
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < channels; c++) {
      const level = data[i * channels + c];
      out[i * pixelStep + c * channelStep] = tables === undefined ? level : tables[c][level];
    }
  }
  return out;
}
