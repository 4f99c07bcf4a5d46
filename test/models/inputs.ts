/** Inputs for models without labelled data: seeded, and of the kind that the model was trained for, not white noise. */
import { tensor, type Tensor } from 'zeropoint';

/** Uniform numbers in [0, 1): mulberry32. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface PictureOptions {
  readonly size: number;
  readonly channels: number;
  /** Pixel values of black and white. */
  readonly range: readonly [black: number, white: number];
}

/** [1, size, size, channels]: a gradient with discs and bars of random colours, and a little grain. */
export function picture({ size, channels, range: [black, white] }: PictureOptions, seed: number): Tensor {
  const next = uniform(seed);
  const shapes = Array.from({ length: 12 }, () => ({
    x: next() * size,
    y: next() * size,
    radius: (0.04 + next() * 0.2) * size,
    isDisc: next() < 0.6,
    colour: Array.from({ length: channels }, next),
  }));
  const values = new Float32Array(size * size * channels);
  let i = 0;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const shape = shapes.find(({ x: cx, y: cy, radius, isDisc }) =>
        isDisc ? Math.hypot(x - cx, y - cy) < radius : Math.abs(x - cx) < radius / 4,
      );
      for (let c = 0; c < channels; c++) {
        const tone = shape?.colour[c] ?? (x + y * (c + 1)) / (size * (c + 2));
        const value = Math.min(1, Math.max(0, tone + (next() - 0.5) * 0.04));
        values[i++] = black + value * (white - black);
      }
    }
  }
  return tensor(values, [1, size, size, channels]);
}

/** [1, samples] of sound at 16 kHz: a few gliding harmonics that come and go, over quiet noise. */
export function sound(samples: number, seed: number): Tensor {
  const next = uniform(seed);
  const pitch = 90 + next() * 160;
  const glide = (next() - 0.5) * 60;
  const loudness = Array.from({ length: 12 }, (_, k) => next() / (k + 1));
  const values = Float32Array.from({ length: samples }, (_, i) => {
    const t = i / 16_000;
    const envelope = Math.max(0, Math.sin(2 * Math.PI * (3 * t + seed / 7)));
    let value = 0;
    for (const [k, loud] of loudness.entries()) {
      value += loud * Math.sin(2 * Math.PI * (k + 1) * (pitch + glide * t) * t);
    }
    return 0.2 * envelope * value + (next() - 0.5) * 0.01;
  });
  return tensor(values, [1, samples]);
}

/** Features in [0, high), smooth along the axis before the last. */
export function features(shape: readonly number[], high: number, seed: number): Tensor {
  const next = uniform(seed);
  const count = shape.reduce((product, size) => product * size, 1);
  let value = next() * high;
  return tensor(
    Float32Array.from({ length: count }, () => (value = 0.7 * value + 0.3 * next() * high)),
    shape,
  );
}
