/** Speech and music at 16 kHz: recordings from Debian's packages, else synthetic sounds. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { debianFolder } from './debian.ts';
import { sound } from './inputs.ts';

export interface Sounds {
  readonly isReal: boolean;
  readonly speech: readonly Float32Array[];
  /** Empty where sounds are synthetic. */
  readonly music: readonly Float32Array[];
}

export const RATE = 16_000;
const CLIPS = 48;
const MUSIC_SECONDS = 12;
/** Not voices. */
const NO_SPEECH = /tone|beep|monkeys|weasels/;
/** Between two and seven seconds of 16-bit samples at 8 kHz. */
const LEAST_BYTES = 32_000;
const MOST_BYTES = 112_000;

let sounds: Sounds | undefined;

/** The same at every call. */
export function loadSounds(): Sounds {
  return (sounds ??= recordings() ?? synthetic());
}

export function soundsInWords({ isReal }: Sounds): string {
  return isReal
    ? 'telephone prompts (asterisk-core-sounds-en-wav) and music (asterisk-moh-opsound-wav), 8 kHz, resampled'
    : 'synthetic sounds, since the recordings could not be fetched';
}

function recordings(): Sounds | undefined {
  const voices = debianFolder('asterisk-core-sounds-en-wav', 'usr/share/asterisk/sounds/en_US_f_Allison');
  const music = debianFolder('asterisk-moh-opsound-wav', 'usr/share/asterisk/moh');
  if (voices === undefined || music === undefined) return undefined;
  const wavs = (folder: string): string[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.wav') && !NO_SPEECH.test(name))
      .sort()
      .map((name) => join(folder, name));
  const clips = wavs(voices).filter((path) => {
    const { size } = statSync(path);
    return size >= LEAST_BYTES && size <= MOST_BYTES;
  });
  const step = clips.length / CLIPS;
  return {
    isReal: true,
    speech: Array.from({ length: CLIPS }, (_, i) => readWav(clips[Math.floor(i * step)])),
    // Some seconds in, since pieces fade in.
    music: wavs(music).map((path) => readWav(path).subarray(10 * RATE, (10 + MUSIC_SECONDS) * RATE)),
  };
}

function synthetic(): Sounds {
  const speech = Array.from({ length: CLIPS }, (_, i) => sound(3 * RATE, i + 1));
  return { isReal: false, speech: speech.map(({ data }) => data as Float32Array), music: [] };
}

const HEADER = 44;

/** A mono file of 16-bit samples at 8 kHz, in [-1, 1) at 16 kHz. */
function readWav(path: string): Float32Array {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const format = [view.getUint16(22, true), view.getUint32(24, true), view.getUint16(34, true)];
  if (format.join() !== '1,8000,16') {
    throw new RangeError(`${path}: expected 1 channel, 8000 Hz, 16 bits, got ${format.join(', ')}`);
  }
  const samples = Float32Array.from(
    { length: (bytes.length - HEADER) >> 1 },
    (_, i) => view.getInt16(HEADER + 2 * i, true) / 32_768,
  );
  return doubled(samples);
}

/** Half-band filter, a windowed sinc: what lies between two samples, from four on each side. */
const BETWEEN = [0.611, -0.153, 0.049, -0.009] as const;
const BETWEEN_SUM = 2 * BETWEEN.reduce((sum, tap) => sum + tap, 0);

/** Twice as many samples a second. */
function doubled(samples: Float32Array): Float32Array {
  const out = new Float32Array(samples.length * 2);
  for (let i = 0; i < samples.length; i++) {
    let between = 0;
    for (const [k, tap] of BETWEEN.entries()) {
      between += tap * ((samples[i - k] ?? 0) + (samples[i + 1 + k] ?? 0));
    }
    out[2 * i] = samples[i];
    out[2 * i + 1] = between / BETWEEN_SUM;
  }
  return out;
}
