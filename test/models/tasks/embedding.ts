/** openWakeWord: 76 frames of a mel spectrogram → 96 numbers that mean what was said; 16 of those and more → a wake word. */
import { cosineSimilarity, tensor, type Tensor } from 'zeropoint';
import { ortNode, readModel } from 'zeropoint/onnx';
import { features } from '../inputs.ts';
import { loadSounds, soundsInWords } from '../sounds.ts';
import { floats, runEach, shareOf, type Feeds, type Task } from '../task.ts';

const MEL = { frames: 76, bins: 32, step: 8 } as const;
const EMBEDDING = 96;
/** Samples of 16 bits, the scale that the spectrogram was trained on. */
const LOUDNESS = 32_767;
const CALIBRATION_CLIPS = 12;
const DECISION = 0.5;
const SAME_SCORE = 0.01;

/** Where the models that come before are. */
export interface FrontEnd {
  readonly spectrogram: string;
  readonly embedding: string;
}

/** Windows of each clip, one after the other. */
type Windows = readonly (readonly Tensor[])[];

export async function embeddingTask({ spectrogram }: FrontEnd): Promise<Task> {
  const windows = await windowsOf(spectrogram);
  // One window a clip: windows of the same clip would be neighbours whatever the model.
  const feeds = windows.map((clip): Feeds => ({ input_1: clip[clip.length >> 1] }));
  return {
    measure: 'clips whose nearest other clip (by cosine of the embeddings) is the same',
    isReal: loadSounds().isReal,
    inputs: inWords(),
    calibration: () => Promise.resolve(feeds.slice(0, CALIBRATION_CLIPS)),
    answers: (run) => runEach(run, feeds.slice(CALIBRATION_CLIPS)),
    agreement(expected, actual) {
      const [mine, theirs] = [expected, actual].map((all) => all.map((outputs) => outputs['conv2d_19']));
      const cosines = mine.map((value, i) => cosineSimilarity(value, theirs[i]));
      return {
        share: shareOf(mine, (_value, i) => nearest(mine, i) === nearest(theirs, i)),
        detail: `least cosine ${Math.min(...cosines).toFixed(4)}`,
      };
    },
  };
}

/** A head that reads so many embeddings. No recording says its word, so its scores are near 0 throughout. */
export async function wakeWordTask(
  frontEnd: FrontEnd,
  names: { readonly input: string; readonly output: string; readonly embeddings: number },
): Promise<Task> {
  const windows = await windowsOf(frontEnd.spectrogram);
  const feeds = await embeddingsOf(windows, frontEnd.embedding, names);
  return {
    measure: 'clips with the same decision (each class at 0.5) and scores that differ by 0.01 at most',
    isReal: loadSounds().isReal,
    inputs: `${inWords()}; none says the word, so that scores are near 0 and their signal to noise says little`,
    calibration: () => Promise.resolve(feeds.slice(0, CALIBRATION_CLIPS)),
    answers: (run) => runEach(run, feeds.slice(CALIBRATION_CLIPS)),
    agreement(expected, actual) {
      const pairs = expected.map((outputs, i): ScorePair => [
        floats(outputs, names.output),
        floats(actual[i], names.output),
      ]);
      return {
        share: shareOf(pairs, isSameDecision),
        detail: `scores differ by ${Math.max(...pairs.map(largestDifference)).toPrecision(2)} at most`,
      };
    },
  };
}

type ScorePair = readonly [expected: Float32Array, actual: Float32Array];

function largestDifference([expected, actual]: ScorePair): number {
  return Math.max(...expected.map((score, k) => Math.abs(score - actual[k])));
}

function isSameDecision(pair: ScorePair): boolean {
  const [expected, actual] = pair.map((scores) => scores.map((score) => Number(score >= DECISION)).join());
  return expected === actual && largestDifference(pair) <= SAME_SCORE;
}

function inWords(): string {
  const sounds = loadSounds();
  return sounds.isReal ? soundsInWords(sounds) : 'synthetic features, since recordings could not be fetched';
}

let windowsKnown: Promise<Windows> | undefined;

function windowsOf(spectrogram: string): Promise<Windows> {
  return (windowsKnown ??= loadSounds().isReal ? spectrogramWindows(spectrogram) : syntheticWindows());
}

async function spectrogramWindows(path: string): Promise<Windows> {
  const runner = await ortNode(await readModel(path), { threads: 1 });
  const windows: Tensor[][] = [];
  for (const clip of loadSounds().speech) {
    const samples = clip.map((value) => value * LOUDNESS);
    const outputs = await runner.run({ input: tensor(samples, [1, samples.length]) });
    windows.push(cutWindows(floats(outputs, 'output').map((value) => value / 10 + 2)));
  }
  await runner.dispose();
  return windows;
}

function cutWindows(mel: Float32Array): Tensor[] {
  const frames = mel.length / MEL.bins;
  const count = Math.max(0, Math.floor((frames - MEL.frames) / MEL.step) + 1);
  return Array.from({ length: count }, (_, i) => {
    const start = i * MEL.step * MEL.bins;
    return tensor(mel.slice(start, start + MEL.frames * MEL.bins), [1, MEL.frames, MEL.bins, 1]);
  });
}

function syntheticWindows(): Promise<Windows> {
  const of = (seed: number): Tensor => features([1, MEL.frames, MEL.bins, 1], 4, seed);
  return Promise.resolve(Array.from({ length: 48 }, (_, i) => [of(2 * i + 1), of(2 * i + 2)]));
}

/** A head's inputs: a clip's embeddings, from its start again where it has too few. */
async function embeddingsOf(
  windows: Windows,
  path: string,
  { input, embeddings }: { readonly input: string; readonly embeddings: number },
): Promise<Feeds[]> {
  const runner = await ortNode(await readModel(path), { threads: 1 });
  const feeds: Feeds[] = [];
  for (const clip of windows) {
    const values = new Float32Array(embeddings * EMBEDDING);
    const known = await runEach(
      (feed) => runner.run(feed),
      clip.slice(0, embeddings).map((window) => ({ input_1: window })),
    );
    for (let i = 0; i < embeddings; i++) {
      values.set(floats(known[i % known.length], 'conv2d_19'), i * EMBEDDING);
    }
    feeds.push({ [input]: tensor(values, [1, embeddings, EMBEDDING]) });
  }
  await runner.dispose();
  return feeds;
}

/** Which of the others is nearest. */
function nearest(embeddings: readonly Tensor[], of: number): number {
  let best = -1;
  let most = -Infinity;
  for (const [i, value] of embeddings.entries()) {
    const cosine = i === of ? -Infinity : cosineSimilarity(embeddings[of], value);
    if (cosine > most) [best, most] = [i, cosine];
  }
  return best;
}
