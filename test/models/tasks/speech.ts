/** Silero VAD: is this frame of a sound speech? Each clip is a stream; the state goes from frame to frame. */
import { tensor, type Tensor } from 'zeropoint';
import { loadSounds, RATE, soundsInWords } from '../sounds.ts';
import { areaUnderCurve, floats, shareOf, type Feeds, type Outputs, type Run, type Task } from '../task.ts';

/** How a version of the model is fed. */
export interface SpeechModel {
  /** Samples of the frame before that are given again. */
  readonly context: number;
  /** Inputs that carry state, with their shapes, and the outputs that they come from. */
  readonly state: readonly {
    readonly input: string;
    readonly output: string;
    readonly shape: readonly number[];
  }[];
}

const FRAME = 512;
const THRESHOLD = 0.5;
/** Clips to calibrate with, and others to test. */
const CALIBRATION_CLIPS = 8;
const TEST_CLIPS = 24;
/** Every so many frames are kept to calibrate. */
const CALIBRATION_STEP = 8;
/** Frames below it are pauses, whatever the clip. */
const QUIET = 0.02;
const rate = tensor(BigInt64Array.of(BigInt(RATE)), []);

export function speechTask(model: SpeechModel): Task {
  const sounds = loadSounds();
  const { speech, music } = sounds;
  const speechClips = speech.slice(CALIBRATION_CLIPS, CALIBRATION_CLIPS + TEST_CLIPS);
  const clips = [...speechClips, ...music];
  const labels = clips.flatMap((clip, index) =>
    framesOf(clip).map((frame) =>
      index >= speechClips.length ? 'music' : isLoud(frame) ? 'speech' : 'pause',
    ),
  );
  return {
    measure:
      'frames of 32 ms with the same decision (speech or not, at 0.5); the state is carried through each clip',
    isReal: sounds.isReal,
    inputs: soundsInWords(sounds),
    async calibration(run) {
      const feeds: Feeds[] = [];
      const recording: Run = (feed) => {
        feeds.push(feed);
        return run(feed);
      };
      await stream(recording, model, speech.slice(0, CALIBRATION_CLIPS));
      return feeds.filter((_, i) => i % CALIBRATION_STEP === 0);
    },
    answers: (run) => stream(run, model, clips),
    agreement(expected, actual) {
      const same = shareOf(expected, (outputs, i) => isSpeech(outputs) === isSpeech(actual[i]));
      return { share: same };
    },
    ...(music.length > 0 && {
      auc(answers) {
        const of = (label: string): number[] =>
          answers.filter((_, i) => labels[i] === label).map(probability);
        return areaUnderCurve(of('speech'), of('music'));
      },
    }),
  };
}

async function stream(run: Run, model: SpeechModel, clips: readonly Float32Array[]): Promise<Outputs[]> {
  const results: Outputs[] = [];
  for (const clip of clips) {
    let state = Object.fromEntries(model.state.map(({ input, shape }) => [input, zeros(shape)]));
    for (const frame of framesOf(clip, model.context)) {
      const outputs = await run({ input: tensor(frame, [1, frame.length]), ...state, sr: rate });
      state = Object.fromEntries(model.state.map(({ input, output }) => [input, outputs[output]]));
      results.push(outputs);
    }
  }
  return results;
}

/** Frames one after the other, each with the samples before it. */
function framesOf(clip: Float32Array, context = 0): Float32Array[] {
  return Array.from({ length: Math.floor(clip.length / FRAME) }, (_, i) => {
    const frame = new Float32Array(context + FRAME);
    const start = Math.max(0, i * FRAME - context);
    const samples = clip.subarray(start, (i + 1) * FRAME);
    frame.set(samples, frame.length - samples.length);
    return frame;
  });
}

function zeros(shape: readonly number[]): Tensor {
  return tensor(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);
}

function isLoud(frame: Float32Array): boolean {
  return Math.hypot(...frame) / Math.sqrt(frame.length) > QUIET;
}

function probability(outputs: Outputs): number {
  return floats(outputs, 'output')[0];
}

function isSpeech(outputs: Outputs): boolean {
  return probability(outputs) >= THRESHOLD;
}
