/** BlazeFace: is there a face, and where? The best of 896 boxes, as the package's own shader decodes it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openNpy } from 'zeropoint/onnx';
import { tensor, type Tensor } from 'zeropoint';
import { debianFolder } from '../debian.ts';
import { picture } from '../inputs.ts';
import { areaUnderCurve, floats, runEach, shareOf, type Feeds, type Outputs, type Task } from '../task.ts';

const INPUT = 'input:0';
/** The package's own threshold. */
const THRESHOLD = 0.75;
const SAME_BOX = 0.5;

interface Pictures {
  readonly isReal: boolean;
  readonly calibration: readonly Tensor[];
  readonly test: readonly Tensor[];
  /** Of `test`; empty where there are no faces to find. */
  readonly hasFace: readonly boolean[];
}

export async function faceTask(size: number): Promise<Task> {
  const { isReal, calibration, test, hasFace } = (await faceCrops(size)) ?? syntheticPictures(size);
  const feeds = (pictures: readonly Tensor[]): Feeds[] => pictures.map((value) => ({ [INPUT]: value }));
  return {
    measure: `pictures with the same decision (face at ${THRESHOLD} or none) and, with a face, the same box (IoU of ${SAME_BOX} or more)`,
    isReal,
    inputs: isReal
      ? 'crops of faces and of no faces (lfw_subset in python3-skimage), grey, enlarged to 1/4, 1/2 and all of the picture'
      : 'synthetic pictures without faces, since photographs could not be fetched',
    calibration: () => Promise.resolve(feeds(calibration)),
    answers: (run) => runEach(run, feeds(test)),
    agreement(expected, actual) {
      const pairs = expected.map((outputs, i) => [bestBox(outputs, size), bestBox(actual[i], size)] as const);
      const faces = pairs.filter(([a]) => a.score >= THRESHOLD);
      const overlap = faces.reduce((sum, [a, b]) => sum + iou(a, b), 0) / faces.length;
      return {
        share: shareOf(pairs, ([a, b]) => isSameFinding(a, b)),
        ...(faces.length > 0 && { detail: `mean IoU ${overlap.toFixed(3)}` }),
      };
    },
    ...(hasFace.length > 0 && {
      auc(answers) {
        const of = (face: boolean): number[] =>
          answers.filter((_, i) => hasFace[i] === face).map((outputs) => bestBox(outputs, size).logit);
        return areaUnderCurve(of(true), of(false));
      },
    }),
  };
}

function isSameFinding(a: Box, b: Box): boolean {
  const isFace = a.score >= THRESHOLD;
  return isFace === b.score >= THRESHOLD && (!isFace || iou(a, b) >= SAME_BOX);
}

/** 100 faces, then 100 pictures of something else, each of 25 by 25 grey pixels in [0, 1]. */
const CROPS = { each: 100, side: 25 } as const;
const SCALES = [0.25, 0.5, 1] as const;
const CALIBRATION_PAIRS = 12;
const TEST_PAIRS = 60;

async function faceCrops(size: number): Promise<Pictures | undefined> {
  const folder = debianFolder('python3-skimage', 'usr/lib/python3/dist-packages/skimage/data');
  const file = folder && join(folder, 'lfw_subset.npy');
  if (file === undefined || !existsSync(file)) return undefined;
  const { data } = await (await openNpy(file)).load();
  const pixels = Float32Array.from(data as ArrayLike<number>);
  const area = CROPS.side ** 2;
  const at = (index: number, scale: number): Tensor =>
    framed(pixels.subarray(index * area, (index + 1) * area), size, scale);
  const pairs = (start: number, count: number): Tensor[] =>
    Array.from({ length: count }, (_, i) => {
      const scale = SCALES[i % SCALES.length];
      return [at(start + i, scale), at(CROPS.each + start + i, scale)];
    }).flat();
  const test = pairs(CALIBRATION_PAIRS, TEST_PAIRS);
  return {
    isReal: true,
    calibration: pairs(0, CALIBRATION_PAIRS),
    test,
    hasFace: test.map((_, i) => i % 2 === 0),
  };
}

function syntheticPictures(size: number): Pictures {
  const of = (seed: number): Tensor => picture({ size, channels: 3, range: [-1, 1] }, seed);
  return { isReal: false, calibration: seeds(1).map(of), test: seeds(101).map(of), hasFace: [] };
}

const seeds = (first: number): number[] => Array.from({ length: 8 }, (_, i) => first + i);

/** [1, size, size, 3] in [-1, 1]: the crop in the middle, bilinear, on its own mean. */
function framed(crop: Float32Array, size: number, scale: number): Tensor {
  const mean = crop.reduce((sum, value) => sum + value, 0) / crop.length;
  const side = Math.round(size * scale);
  const start = (size - side) >> 1;
  const values = new Float32Array(size * size * 3).fill(2 * mean - 1);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const value = 2 * bilinear(crop, y / side, x / side) - 1;
      const at = 3 * ((start + y) * size + start + x);
      values.fill(value, at, at + 3);
    }
  }
  return tensor(values, [1, size, size, 3]);
}

/** The crop at a place given in parts of its height and width. */
function bilinear(crop: Float32Array, v: number, u: number): number {
  const last = CROPS.side - 1;
  const y = Math.min(v * CROPS.side, last);
  const x = Math.min(u * CROPS.side, last);
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [bottom, right] = [Math.min(top + 1, last), Math.min(left + 1, last)];
  const row = (r: number): number =>
    crop[r * CROPS.side + left] * (1 - x + left) + crop[r * CROPS.side + right] * (x - left);
  return row(top) * (1 - y + top) + row(bottom) * (y - top);
}

/** Centre, width and height in parts of the picture. */
interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly logit: number;
  readonly score: number;
}

/** Two maps of cells, with so many boxes a cell. */
const LAYERS = [
  { scores: 'Identity:0', boxes: 'Identity_2:0', cells: 16, anchors: 2 },
  { scores: 'Identity_1:0', boxes: 'Identity_3:0', cells: 8, anchors: 6 },
] as const;
const BOX_VALUES = 16;

function bestBox(outputs: Outputs, size: number): Box {
  const best = LAYERS.map(({ scores, boxes, cells, anchors }) => {
    const logits = floats(outputs, scores);
    const index = logits.indexOf(Math.max(...logits));
    const cell = Math.floor(index / anchors);
    const values = floats(outputs, boxes).subarray(index * BOX_VALUES);
    return {
      x: ((cell % cells) + 0.5) / cells + values[0] / size,
      y: (Math.floor(cell / cells) + 0.5) / cells + values[1] / size,
      width: values[2] / size,
      height: values[3] / size,
      logit: logits[index],
      score: 1 / (1 + Math.exp(-logits[index])),
    };
  });
  return best[0].logit >= best[1].logit ? best[0] : best[1];
}

function iou(a: Box, b: Box): number {
  const width = overlap(a.x, a.width, b.x, b.width);
  const height = overlap(a.y, a.height, b.y, b.height);
  const inner = width * height;
  return inner / (a.width * a.height + b.width * b.height - inner);
}

function overlap(x1: number, width1: number, x2: number, width2: number): number {
  const end = Math.min(x1 + width1 / 2, x2 + width2 / 2);
  return Math.max(0, end - Math.max(x1 - width1 / 2, x2 - width2 / 2));
}
