/**
 * Files of images → pixels: by sharp in Node, Deno and Bun, by the browser itself in browsers. Pixels are 8-bit RGB,
 * upright as the file's orientation says, with no colour profile applied and transparency dropped. Decoders agree on
 * lossless files; on JPEG they differ by a few levels, so a plan says which one it was.
 */
import { CalibrationError, UnsupportedError } from '../errors.ts';

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** RGB, row by row: 3·width·height bytes. */
  readonly data: Uint8Array;
}

export interface ImageDecoder {
  /** Program and version: `sharp 0.35.5 (libvips 8.18.7)`. */
  readonly name: string;
  decode(bytes: Uint8Array): Promise<Pixels>;
}

/** 64 MiB of pixels, 8192 x 8192: a file of a few bytes can claim any size. Four are decoded at a time. */
export const MOST_PIXELS = 67_108_864;

/** A value, not a literal, so that bundlers leave the native package where it is. */
const PACKAGE: string = 'sharp';

/** The decoder of this runtime. @throws UnsupportedError RUNTIME_MISSING if there is none */
export async function openDecoder(sharp?: unknown): Promise<ImageDecoder> {
  if (sharp === undefined && hasCanvas()) return canvasDecoder();
  return sharpDecoder(sharpOf(sharp ?? (await importSharp())));
}

/** What we use of sharp. */
interface Sharp {
  (
    bytes: Uint8Array,
    options: { readonly ignoreIcc: boolean; readonly limitInputPixels: number },
  ): SharpImage;
  readonly versions: Readonly<Record<string, string | undefined>>;
}

interface SharpImage {
  rotate(): SharpImage;
  toColourspace(space: string): SharpImage;
  removeAlpha(): SharpImage;
  raw(): SharpImage;
  toBuffer(options: { readonly resolveWithObject: true }): Promise<{
    readonly data: Uint8Array;
    readonly info: { readonly width: number; readonly height: number; readonly channels: number };
  }>;
}

async function importSharp(): Promise<unknown> {
  try {
    return await import(/* @vite-ignore */ PACKAGE);
  } catch (cause) {
    throw new UnsupportedError('calibrate: expected the package sharp to decode images, got none', {
      code: 'RUNTIME_MISSING',
      hint: 'Run: npm install sharp',
      details: { package: 'sharp' },
      cause,
    });
  }
}

function sharpOf(module: unknown): Sharp {
  const sharp = typeof module === 'function' ? module : (module as { default?: unknown } | null)?.default;
  // Nothing else that people pass here is a function with versions.
  if (typeof sharp === 'function' && 'versions' in sharp) return sharp as unknown as Sharp;
  throw new TypeError('calibrate: expected the module sharp, got something else');
}

function sharpDecoder(sharp: Sharp): ImageDecoder {
  const { sharp: version = 'of unknown version', vips = 'unknown' } = sharp.versions;
  return {
    name: `sharp ${version} (libvips ${vips})`,
    async decode(bytes) {
      // Without an angle, rotate() turns the image as its EXIF orientation says.
      const options = { ignoreIcc: true, limitInputPixels: MOST_PIXELS };
      const image = sharp(bytes, options).rotate().toColourspace('srgb').removeAlpha().raw();
      const { data, info } = await image.toBuffer({ resolveWithObject: true });
      const { width, height } = info;
      if (data.length === 3 * width * height) return { width, height, data };
      throw new CalibrationError(
        `expected 8-bit RGB, got ${info.channels} channels in ${data.length} bytes`,
        { code: 'CALIBRATION_INPUT' },
      );
    },
  };
}

/** Deno has createImageBitmap, but no canvas to read pixels from. */
function hasCanvas(): boolean {
  return typeof createImageBitmap === 'function' && typeof OffscreenCanvas === 'function';
}

function canvasDecoder(): ImageDecoder {
  return {
    name: `createImageBitmap (${globalThis.navigator.userAgent})`,
    async decode(bytes) {
      const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), {
        colorSpaceConversion: 'none',
        premultiplyAlpha: 'none',
      });
      const { width, height } = bitmap;
      checkPixels(width, height);
      const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
      if (context === null) throw new TypeError('calibrate: expected a 2d canvas, got none');
      context.drawImage(bitmap, 0, 0);
      bitmap.close();
      return { width, height, data: withoutAlpha(context.getImageData(0, 0, width, height).data) };
    },
  };
}

/** @throws CalibrationError CALIBRATION_INPUT for more pixels than are worth decoding for a model */
export function checkPixels(width: number, height: number): void {
  if (width * height <= MOST_PIXELS) return;
  throw new CalibrationError(`expected at most ${MOST_PIXELS} pixels, got ${height} x ${width}`, {
    code: 'CALIBRATION_INPUT',
    hint: 'Make the image smaller first.',
  });
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}
