/** Samples that are images: decoded when they are asked for, a few at a time. */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { ANYTHING } from '../errors/option-rules.ts';
import { CalibrationError } from '../errors.ts';
import { openSource, type SourceLike } from '../formats/source.ts';
import { allocate } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { openDecoder, type ImageDecoder } from './decode-image.ts';
import { IMAGE_RULES, imageTransform, type ImageOptions, type ImageTransform } from './image-transform.ts';
import { withSampleCount } from './sample-count.ts';
import {
  DATA_RULES,
  dealOut,
  WHERE,
  type CalibrationData,
  type CalibrationDataOptions,
} from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/** A path or `file:` URL (Node, Deno, Bun), a Blob or File, bytes, or a file handle of the browser. */
export type ImageLike = SourceLike | Pick<FileSystemFileHandle, 'getFile' | 'name'>;

/** How {@link openImageData} prepares images and deals them out. */
export interface ImageDataOptions extends CalibrationDataOptions, ImageOptions {
  /** The module sharp, if the caller has it already. Default: sharp, or in browsers createImageBitmap. */
  readonly sharp?: unknown;
}

const RULES = {
  ...DATA_RULES,
  ...IMAGE_RULES,
  sharp: ANYTHING,
} satisfies Record<keyof ImageDataOptions, Rule>;

/** Images that are decoded at a time: sharp has as many threads, and each may take a hundred megabytes. */
const AT_ONCE = 4;

/**
 * Opens images for a model with one input of images. They are resized and cut as torchvision's evaluation transform does,
 * to the bit on lossless files. All samples of a batch must have one shape.
 *
 * @throws CalibrationError CALIBRATION_INPUT for a model that takes something else, or options that do not fit it;
 *   CALIBRATION_EMPTY without images; UnsupportedError RUNTIME_MISSING without a decoder; from `batches`,
 *   CalibrationError CALIBRATION_INPUT naming the file that cannot be decoded
 * @example
 * const data = await openImageData(files, inputValues(model), {
 *   size: 256, crop: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225],
 * });
 */
export async function openImageData(
  images: readonly ImageLike[],
  inputs: readonly RunnerValue[],
  options: ImageDataOptions = {},
): Promise<CalibrationData> {
  checkOptions('openImageData', options, RULES);
  const transform = imageTransform(inputs, options);
  const decoder = await openDecoder(options.sharp);
  const [{ name, dtype }] = inputs;
  const set = {
    available: images.length,
    fixedBatch: transform.fixedBatch,
    oneBatch: true,
    decoder: decoder.name,
    open: () => async (places: readonly number[]) => {
      const samples: Sample[] = [];
      for (let i = 0; i < places.length; i += AT_ONCE) {
        const some = places.slice(i, i + AT_ONCE).map((place) => images[place]);
        samples.push(...(await Promise.all(some.map((image) => load(image, decoder, transform)))));
      }
      const feeds = { [name]: stack(samples, dtype === 'uint8' ? 'uint8' : 'float32') };
      return [withSampleCount(feeds, samples.length)];
    },
  };
  return dealOut(set, options);
}

type Sample = ReturnType<ImageTransform['apply']>;

async function load(image: ImageLike, decoder: ImageDecoder, transform: ImageTransform): Promise<Sample> {
  const { source } = await openSource(isHandle(image) ? await image.getFile() : image);
  const name = typeof image === 'string' ? image : (source.name ?? 'image');
  try {
    return transform.apply(await decoder.decode(await source.read(0, source.size)));
  } catch (cause) {
    throw new CalibrationError(`${WHERE}: ${name}: expected an image, got: ${reason(cause)}`, {
      code: 'CALIBRATION_INPUT',
      hint: `Mend it or take it out. Decoded by ${decoder.name}.`,
      details: { file: name },
      cause,
    });
  }
}

function isHandle(image: ImageLike): image is Pick<FileSystemFileHandle, 'getFile' | 'name'> {
  return typeof image === 'object' && 'getFile' in image;
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(`${WHERE}: `, '') : String(cause);
}

function stack(samples: readonly Sample[], dtype: 'float32' | 'uint8'): Tensor {
  const [{ shape, data: first }] = samples;
  const data = allocate(dtype, samples.length * first.length);
  // Every sample has the same shape: the transform cuts all images to one size.
  for (const [i, sample] of samples.entries()) (data as Float32Array).set(sample.data, i * first.length);
  return new Tensor(dtype, [samples.length, ...shape], data);
}
