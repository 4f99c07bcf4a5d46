/** Images as calibration data: the pixels that PIL gives, the numbers that torchvision makes of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Tensor } from 'zeropoint';
import { openImageData, type ImageDataOptions, type ImageLike, type RunnerValue } from 'zeropoint/onnx';

const FOLDER = fileURLToPath(new URL('fixtures/calibration/', import.meta.url));
const path = (name: string): string => join(FOLDER, name);

interface Golden {
  readonly file: string;
  readonly size: number | [number, number];
  readonly crop: [number, number] | null;
  readonly mode: 'RGB' | 'L';
  readonly shape: number[];
  readonly pixels: number[];
}
const { cases } = JSON.parse(readFileSync(path('images.json'), 'utf8')) as { cases: Golden[] };

const any = (dtype: RunnerValue['dtype'] = 'float32', channels: number | undefined = 3): RunnerValue => ({
  name: 'x',
  dtype,
  shape: ['N', channels, undefined, undefined],
});

async function first(
  images: readonly ImageLike[],
  input: RunnerValue,
  options: ImageDataOptions = {},
): Promise<Tensor> {
  const data = await openImageData(images, [input], options);
  const { value } = await data.batches().next();
  return (value as Record<string, Tensor>).x;
}

const RAW = { layout: 'NHWC' } as const;

describe('pixels', () => {
  it.each(
    cases.map(
      (golden) =>
        [`${golden.file} as ${golden.mode}, size ${golden.size}, crop ${golden.crop}`, golden] as const,
    ),
  )('%s: as PIL has them, to the bit', async (_, { file, size, crop, mode, shape, pixels }) => {
    const channels = mode === 'L' ? 1 : 3;
    const input: RunnerValue = { name: 'x', dtype: 'uint8', shape: ['N', undefined, undefined, channels] };
    const x = await first([path(file)], input, { ...RAW, size, crop: crop ?? undefined });
    expect(x.shape).toEqual([1, shape[0], shape[1], channels]);
    expect([...x.data]).toEqual(pixels);
  });

  it('are the same from a path, bytes and a Blob', async () => {
    const bytes = new Uint8Array(readFileSync(path('wide.png')));
    const x = await first([path('wide.png'), bytes, new Blob([bytes])], any('uint8'), { size: 12 });
    const [a, b, c] = [0, 1, 2].map((i) => Array.from(x.data.slice(i * 432, (i + 1) * 432), Number));
    expect(a).toEqual(b);
    expect(a).toEqual(c);
  });

  it('of a file handle of the browser', async () => {
    const handle = {
      name: 'wide.png',
      getFile: async () => new File([readFileSync(path('wide.png'))], 'wide.png'),
    };
    expect((await first([handle], any('uint8'), { size: 12 })).shape).toEqual([1, 3, 12, 12]);
  });
});

describe('numbers', () => {
  const { pixels } = cases[0];
  const options = { size: 16, crop: 12 };
  const mean = [0.485, 0.456, 0.406];
  const std = [0.229, 0.224, 0.225];
  const f = Math.fround;

  it('are x / 255 by default, float32(x / 255) for each of 256 levels', async () => {
    const x = await first([path('wide.png')], { ...any(), shape: ['N', undefined, undefined, 3] }, options);
    expect([...x.data]).toEqual(pixels.map((level) => f(level / 255)));
    for (let level = 0; level < 256; level++) expect(f(level * (1 / 255))).toBe(f(level / 255));
  });

  it('are (x / 255 - mean) / std in float32, channel by channel', async () => {
    const x = await first([path('wide.png')], any(), { ...options, mean, std });
    const expected = [0, 1, 2].flatMap((c) =>
      pixels.filter((_, i) => i % 3 === c).map((level) => f(f(f(level / 255) - f(mean[c])) / f(std[c]))),
    );
    expect(x.shape).toEqual([1, 3, 12, 12]);
    expect([...x.data]).toEqual(expected);
  });

  it('have the channels turned around for bgr, and mean in that order', async () => {
    const bgr = await first([path('wide.png')], any(), {
      ...options,
      channels: 'bgr',
      mean: [1, 2, 3],
      scale: 1,
    });
    expect([0, 144, 288].map((i) => bgr.data[i])).toEqual([pixels[2] - 1, pixels[1] - 2, pixels[0] - 3]);
  });

  it('are gray where the model takes one channel', async () => {
    const gray = cases.find(({ file, mode }) => file === 'tall.png' && mode === 'L');
    const x = await first([path('tall.png')], any('float32', 1), { size: 9, scale: 1 });
    expect([...x.data]).toEqual(gray?.pixels);
  });
});

describe('what is not said is taken from the model', () => {
  it('size, layout and batch', async () => {
    const nhwc: RunnerValue = { name: 'x', dtype: 'float32', shape: [2, 10, 14, 3] };
    const images = ['wide.png', 'tall.png', 'gray.png'].map(path);
    const data = await openImageData(images, [nhwc]);
    expect([data.samples, data.batchSize]).toEqual([2, 2]);
    const { value } = await data.batches().next();
    expect(value?.x.shape).toEqual([2, 10, 14, 3]);
  });

  it('the decoder is named with its version', async () => {
    const { decoder } = await openImageData([path('wide.png')], [any()], { size: 8 });
    expect(decoder).toMatch(/^sharp \d+\.\d+\.\d+ \(libvips \d+\.\d+\.\d+\)$/);
  });
});

describe('in a browser', () => {
  /** What the decoder uses of a browser: an image of 3 x 2 pixels whose bytes count up, alpha included. */
  function stubBrowser(): { readonly options: unknown[] } {
    const options: unknown[] = [];
    const rgba = Uint8ClampedArray.from({ length: 24 }, (_, i) => i);
    vi.stubGlobal('createImageBitmap', async (_blob: Blob, wanted: unknown) => {
      options.push(wanted);
      return { width: 3, height: 2, close: () => undefined };
    });
    vi.stubGlobal(
      'OffscreenCanvas',
      class {
        getContext = () => ({ drawImage: () => undefined, getImageData: () => ({ data: rgba }) });
      },
    );
    vi.stubGlobal('navigator', { userAgent: 'a browser' });
    onTestFinished(() => void vi.unstubAllGlobals());
    return { options };
  }

  it('createImageBitmap decodes, without colour conversion or premultiplied alpha, which is dropped', async () => {
    const { options } = stubBrowser();
    const images = [new Blob([new Uint8Array(4)])];
    const data = await openImageData(images, [any('uint8')], { size: [2, 3], layout: 'NCHW' });
    expect(data.decoder).toBe('createImageBitmap (a browser)');
    const { value } = await data.batches().next();
    expect([...(value?.x.data ?? [])]).toEqual([
      0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22,
    ]);
    expect(options).toEqual([{ colorSpaceConversion: 'none', premultiplyAlpha: 'none' }]);
  });
});

describe('refused', () => {
  const image = path('wide.png');
  it.each<[string, RunnerValue[], ImageDataOptions, RegExp]>([
    ['no size anywhere', [any()], {}, /expected float32 \[N, 3, \?, \?\], got images without a size/],
    [
      'another size than the model takes',
      [{ ...any(), shape: ['N', 3, 8, 8] }],
      { crop: 9 },
      /got images of 9 x 9/,
    ],
    [
      'a crop larger than the image',
      [any()],
      { size: 8, crop: 9 },
      /wide\.png: expected an image, got: expected images of at least 9 x 9 to cut from, got 8 x 13/,
    ],
    [
      'another number of channels',
      [any('float32', 3)],
      { size: 8, channels: 'gray' },
      /got 1 channels \(gray\) in NCHW/,
    ],
    ['two inputs', [any(), any()], { size: 8 }, /expected a model with one input for images/],
    [
      'text',
      [{ ...any('int64') }],
      { size: 8 },
      /expected int64 .*, got images as float32 or uint8 with four axes/,
    ],
    [
      'two means for three channels',
      [any()],
      { size: 8, mean: [1, 2] },
      /mean: expected 1 value or 3, one a channel, got 2/,
    ],
    ['std 0', [any()], { size: 8, std: [0.5, 0, 1] }, /std: expected finite .* other than 0, got 0\.5, 0, 1/],
    ['scale 0', [any()], { size: 8, scale: 0 }, /scale: expected finite values other than 0, got 0/],
    [
      'mean without an end',
      [any()],
      { size: 8, mean: [Infinity] },
      /mean: expected finite values, got Infinity/,
    ],
    [
      'mean for uint8',
      [any('uint8')],
      { size: 8, mean: [0.5] },
      /expected no mean, std or scale for an input of uint8/,
    ],
  ])('%s', async (_, inputs, options, message) => {
    const pass = openImageData([image], inputs, options).then((data) => data.batches().next());
    await expect(pass).rejects.toThrow(message);
  });

  it('no images', async () => {
    await expect(openImageData([], [any()], { size: 8 })).rejects.toMatchObject({
      code: 'CALIBRATION_EMPTY',
    });
  });

  it.each([
    ['text', () => new TextEncoder().encode('no image')],
    ['an empty file', () => new Uint8Array(0)],
    ['half a file', () => new Uint8Array(readFileSync(image)).subarray(0, 700)],
  ])('%s instead of an image, naming the file', async (_, bytes) => {
    const file = new File([bytes()], 'cat.png');
    await expect(first([file], any(), { size: 8 })).rejects.toThrow(
      /^calibrate: cat\.png: expected an image, got: /,
    );
    await expect(first([file], any(), { size: 8 })).rejects.toMatchObject({ code: 'CALIBRATION_INPUT' });
  });

  it('a file of a few bytes that claims 40,000 x 40,000 pixels', async () => {
    const small = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    // IHDR: width and height at 16 and 20, the checksum of its 17 bytes at 29.
    small.writeUInt32BE(40_000, 16);
    small.writeUInt32BE(40_000, 20);
    small.writeUInt32BE(crc32(small.subarray(12, 29)), 29);
    const decoded = first([new Uint8Array(small)], any(), { size: 8 });
    await expect(decoded).rejects.toThrow(/expected an image, got: .*exceeds pixel limit/);
    await expect(decoded).rejects.toMatchObject({ code: 'CALIBRATION_INPUT' });
  });

  it('a strip that would be millions of pixels long', async () => {
    const strip = await sharp({ create: { width: 60_000, height: 1, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    const resized = first([new Uint8Array(strip)], any(), { size: 224, crop: 224 });
    await expect(resized).rejects.toThrow(/expected at most 67108864 pixels, got 224 x 13440000/);
    await expect(resized).rejects.toMatchObject({ code: 'CALIBRATION_INPUT' });
  });

  it('a module that is not sharp', async () => {
    await expect(openImageData([image], [any()], { size: 8, sharp: {} })).rejects.toThrow(TypeError);
  });
});
