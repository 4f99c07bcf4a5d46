/** M-LSD: straight lines in a picture. A peak of the score map is a line's centre; four offsets give its ends. */
import { join } from 'node:path';
import { tensor, type Tensor } from 'zeropoint';
import { openImageData } from 'zeropoint/onnx';
import { debianFolder } from '../debian.ts';
import { picture } from '../inputs.ts';
import { floats, runEach, type Feeds, type Outputs, type Task } from '../task.ts';

const INPUT = 'input_image_with_alpha:0';
const SIZE = 320;
const THRESHOLD = 0.1;
/** Lines of a picture that count, by score. */
const MOST_LINES = 100;
/** Sum of the squared distances of both ends, in cells of a map of 128: what the literature calls sAP10. */
const SAME_LINE = 10 * (160 / 128) ** 2;

const CALIBRATION = ['chelsea', 'coffee', 'brick', 'coins', 'page', 'motorcycle_right', 'grass', 'text'];
const TEST = ['astronaut', 'camera', 'clock_motion', 'color', 'gravel', 'horse', 'motorcycle_left', 'rocket'];
const EXTENSIONS: Readonly<Record<string, string>> = { rocket: 'jpg' };

export async function lineTask(): Promise<Task> {
  const folder = debianFolder('python3-skimage', 'usr/lib/python3/dist-packages/skimage/data');
  const calibration = folder === undefined ? synthetic(1) : await photographs(folder, CALIBRATION);
  const test = folder === undefined ? synthetic(101) : await photographs(folder, TEST);
  return {
    measure: `F1 of lines: score of ${THRESHOLD} or more, both ends near (squares of distances sum to 10 cells of 1/128 or less), one to one`,
    isReal: folder !== undefined,
    inputs:
      folder === undefined
        ? 'synthetic pictures, since photographs could not be fetched'
        : 'photographs (python3-skimage), 8 to calibrate and 8 others to compare',
    calibration: () => Promise.resolve(calibration),
    answers: (run) => runEach(run, test),
    agreement(expected, actual) {
      const sums = { matched: 0, expected: 0, actual: 0 };
      for (const [i, outputs] of expected.entries()) {
        const lines = linesOf(outputs);
        const others = linesOf(actual[i]);
        sums.matched += countMatches(lines, others);
        sums.expected += lines.length;
        sums.actual += others.length;
      }
      return {
        share: (2 * sums.matched) / (sums.expected + sums.actual),
        detail: `${sums.actual} lines, ${sums.expected} in float`,
      };
    },
  };
}

async function photographs(folder: string, names: readonly string[]): Promise<Feeds[]> {
  const files = names.map((name) => join(folder, `${name}.${EXTENSIONS[name] ?? 'png'}`));
  const images = await openImageData(files, [{ name: INPUT, dtype: 'float32', shape: [1, SIZE, SIZE, 3] }], {
    scale: 1,
  });
  const feeds: Feeds[] = [];
  for await (const batch of images.batches()) feeds.push({ [INPUT]: withAlpha(batch[INPUT].data) });
  return feeds;
}

/** Pixels of 0 to 255 and an alpha of 1, as the package's shader gives them. */
function withAlpha(rgb: ArrayLike<unknown>): Tensor {
  const values = Float32Array.from({ length: SIZE * SIZE * 4 }, (_, i) =>
    i % 4 === 3 ? 1 : Number(rgb[(i >> 2) * 3 + (i % 4)]),
  );
  return tensor(values, [1, SIZE, SIZE, 4]);
}

function synthetic(first: number): Feeds[] {
  return Array.from({ length: 8 }, (_, i) => {
    const { data } = picture({ size: SIZE, channels: 3, range: [0, 255] }, first + i);
    return { [INPUT]: withAlpha(data) };
  });
}

/** Both ends: x, y, x, y in cells. */
type Line = readonly [number, number, number, number];

/** Best first. */
function linesOf(outputs: Outputs): Line[] {
  const scores = floats(outputs, 'scores');
  const offsets = floats(outputs, 'offsets');
  const side = Math.sqrt(scores.length);
  return Array.from(scores.keys())
    .filter((cell) => scores[cell] >= THRESHOLD)
    .sort((a, b) => scores[b] - scores[a])
    .slice(0, MOST_LINES)
    .map((cell) => {
      const [x, y] = [cell % side, Math.floor(cell / side)];
      const at = 4 * cell;
      return [x + offsets[at], y + offsets[at + 1], x + offsets[at + 2], y + offsets[at + 3]];
    });
}

/** Lines of `lines` that have one of `others` near, each of those once. */
function countMatches(lines: readonly Line[], others: readonly Line[]): number {
  const free = new Set(others);
  return lines.filter((line) => {
    const near = [...free].find((other) => isSame(line, other));
    if (near !== undefined) free.delete(near);
    return near !== undefined;
  }).length;
}

/** A line has no direction. */
function isSame(a: Line, b: Line): boolean {
  const reversed: Line = [b[2], b[3], b[0], b[1]];
  return Math.min(distance(a, b), distance(a, reversed)) <= SAME_LINE;
}

function distance(a: Line, b: Line): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0);
}
