/** Small trained models and rows of their calibration data, for tests in Node. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { tensor, type Tensor } from 'zeropoint';
import { readModel, type Model } from 'zeropoint/onnx';

const STATIC = new URL('../fixtures/ort/static/', import.meta.url);
const DEMO = new URL('../../examples/demo/data/', import.meta.url);

interface ZooEntry {
  readonly model: URL;
  readonly data: string;
  /** Pixels are divided by this. */
  readonly divisor: number;
  /** Of one row. */
  readonly shape: readonly number[];
}

const ZOO = {
  digits_cnn: { model: new URL('digits_cnn.onnx', STATIC), data: 'digits', divisor: 16, shape: [1, 8, 8] },
  digits_mlp: { model: new URL('digits_mlp.onnx', STATIC), data: 'digits', divisor: 16, shape: [64] },
  fmnist_resdw: {
    model: new URL('fmnist_resdw.onnx', DEMO),
    data: 'fmnist',
    divisor: 255,
    shape: [1, 28, 28],
  },
} as const satisfies Record<string, ZooEntry>;

export type ZooName = keyof typeof ZOO;

export function zooModel(name: ZooName): Promise<Model> {
  return readModel(ZOO[name].model);
}

/** Rows `from` to `to` (at most 32) of the calibration data, as the model takes them. */
export function zooInput(name: ZooName, from = 0, to = 32): Tensor {
  const { data, divisor, shape } = ZOO[name];
  const pixels = gunzipSync(readFileSync(new URL(`${data}.bin.gz`, STATIC)));
  const size = shape.reduce<number>((product, length) => product * length, 1);
  const values = Float32Array.from(pixels.subarray(from * size, to * size), (pixel) => pixel / divisor);
  return tensor(values, [to - from, ...shape]);
}

/** What onnxruntime's Python quantizer made of them (scripts/fixtures/ort_static.py). */
export interface StoredConstant {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly sha256: string;
}

export interface StaticCase {
  /** Scale and zero point by value. */
  readonly activations: Readonly<Record<string, readonly [number, number]>>;
  readonly weights: readonly {
    readonly op: string;
    readonly weight: StoredConstant;
    readonly weight_scale: StoredConstant;
    readonly bias: StoredConstant;
    readonly bias_scale: StoredConstant;
  }[];
}

export function staticCases(): Readonly<Record<string, StaticCase>> {
  return JSON.parse(readFileSync(new URL('static.json', STATIC), 'utf8')) as Record<string, StaticCase>;
}
