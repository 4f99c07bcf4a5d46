/**
 * Bad input to the command line: a clear error, the exit code, and a folder that is as it was. What the readers refuse
 * byte by byte is tested beside them.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, writeModel, type TensorSource } from 'zeropoint/onnx';
import { convNet, noise, saveModel, saveNpz, twoInputs } from './support/cli-models.ts';
import { listing, temporaryFolder, useCli, type CliOptions, type CliResult } from './support/cli.ts';

const zeropoint = useCli();

const QUANTIZE = ['quantize', 'model.onnx', '-c', 'data.npz'];
const SAMPLES = 12;
const IMAGES = [SAMPLES, 1, 8, 8];

/** A folder with a model and data that fit, before something is broken. */
async function goodFolder(): Promise<string> {
  const cwd = temporaryFolder();
  await saveModel(cwd);
  saveNpz(cwd, { image: noise(IMAGES) });
  return cwd;
}

/** Side of a square weight of more than 256 MB. */
const BIG = 8200;

/** x [N, BIG] → MatMul → y, with a weight of zeros that is never held in memory. */
async function saveBigModel(cwd: string): Promise<void> {
  const model = buildModel((b) => {
    const size = BIG * BIG * 4;
    const weight: TensorSource = {
      elementType: 'float32',
      shape: [BIG, BIG],
      byteLength: size,
      where: 'memory',
      load: () => Promise.reject(new Error('too large')),
      read: (_offset, length) => Promise.resolve(new Uint8Array(length)),
    };
    const x = b.input('x', 'float32', ['N', BIG]);
    b.output(b.op('MatMul', [x, b.graph.addInitializer('w', weight)]), 'y', 'float32', ['N', BIG]);
  });
  await writeModel(model, join(cwd, 'model.onnx'));
}

/** Words that every verb that reads a model gets after its own name. */
const READING: readonly (readonly [verb: string, ...words: readonly string[]])[] = [
  ['inspect', 'model.onnx'],
  ['check', 'model.onnx'],
  ['quantize', 'model.onnx', '-c', 'data.npz', '--dry-run'],
  ['calibrate', 'model.onnx', '-c', 'data.npz', '--dry-run'],
  ['variants', 'model.onnx', '--dry-run'],
];

/** Runs a command that must fail and leave the folder as it was. */
async function failing(
  cwd: string,
  args: readonly string[] = QUANTIZE,
  options: Omit<CliOptions, 'cwd'> = {},
): Promise<CliResult> {
  const before = listing(cwd);
  const result = await zeropoint(args, { cwd, ...options });
  expect(listing(cwd)).toEqual(before);
  expect(result.stdout).toBe('');
  expect(result.stderr).not.toMatch(/^ +at /m);
  return result;
}

const error = (stderr: string): string => /^error: (.*)$/m.exec(stderr)?.[1] ?? stderr;
const hint = (stderr: string): string => /^hint: (.*)$/m.exec(stderr)?.[1] ?? '';

describe('the model', () => {
  it.each(READING)('is larger than --max-structure: %s says so, and goes on with more', async (...words) => {
    const cwd = await goodFolder();
    const { code, stderr } = await failing(cwd, [...words, '--max-structure', '1KB']);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/model\.onnx: .* expected a structure that takes at most 0\.000954 MiB/);
    expect(hint(stderr)).toContain('--max-structure');
    const more = await zeropoint([...words, '--max-structure', '1GiB'], { cwd });
    expect(more.code).toBe(0);
  });

  const write = (bytes: Uint8Array | string) => (cwd: string) =>
    writeFileSync(join(cwd, 'model.onnx'), bytes);
  const ZIP = Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 0, 0, 8, 0);

  it.each([
    [
      'nothing there',
      (cwd: string) => rmSync(join(cwd, 'model.onnx')),
      /model\.onnx: expected a file, got nothing there/,
    ],
    [
      'a folder',
      (cwd: string) => {
        rmSync(join(cwd, 'model.onnx'));
        mkdirSync(join(cwd, 'model.onnx'));
      },
      /model\.onnx: expected a file, got a folder/,
    ],
    ['an empty file', write(''), /model\.onnx: expected an ONNX model, got an empty file/],
    ['text', write('<!doctype html><p>404'), /model\.onnx: expected an ONNX model, got/],
    ['a zip archive', write(ZIP), /model\.onnx: expected an ONNX model, got a zip archive/],
    ['random bytes', write(new Uint8Array(noise([64]).data.buffer)), /model\.onnx: expected/],
  ])('%s: refused by quantize and inspect', async (_, ruin, message) => {
    const cwd = await goodFolder();
    ruin(cwd);
    for (const args of [QUANTIZE, ['inspect', 'model.onnx']]) {
      const { code, stderr } = await failing(cwd, args);
      expect(code).toBe(1);
      expect(error(stderr)).toMatch(message);
    }
  });

  it.each([1, 10, 100, 1000, -200, -1])('cut off at byte %i: refused', async (at) => {
    const cwd = await goodFolder();
    const path = join(cwd, 'model.onnx');
    writeFileSync(path, readFileSync(path).subarray(0, at));
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/^model\.onnx: .*expected .*, got /);
  });

  it('an opset of the future: refused, with the newest that is known', async () => {
    const cwd = await goodFolder();
    const model = convNet();
    model.opsetImports.set('', 999);
    await writeModel(model, join(cwd, 'model.onnx'), { overwrite: true });
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/expected operator set \d+ or older, got 999/);
    expect(hint(stderr)).not.toBe('');
  });

  it('with nothing to quantize: refused, with the reason', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, twoInputs());
    const { code, stderr } = await failing(cwd, ['quantize', 'model.onnx', '--exclude', '*']);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/expected .* quantize.*got none/);
  });

  it('quantized already: refused', async () => {
    const cwd = await goodFolder();
    expect((await zeropoint(QUANTIZE, { cwd })).code).toBe(0);
    const { code, stderr } = await failing(cwd, ['quantize', 'model.int8.onnx', '-c', 'data.npz']);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/expected a float model, got one that is quantized/);
  });
});

describe('external data of the model', () => {
  /** The folder `inside` has the model, its weights lie in `model.onnx_data`. */
  async function external(): Promise<{ cwd: string; model: string; data: string }> {
    const cwd = join(temporaryFolder(), 'inside');
    mkdirSync(cwd);
    const model = join(cwd, 'model.onnx');
    await writeModel(convNet(), model, { externalData: { threshold: 0 } });
    saveNpz(cwd, { image: noise(IMAGES) });
    return { cwd, model, data: join(cwd, 'model.onnx_data') };
  }

  it('there: quantized, and the result needs it no more or brings its own', async () => {
    const { cwd } = await external();
    const { code } = await zeropoint(QUANTIZE, { cwd });
    expect(code).toBe(0);
    expect(listing(cwd)).toEqual(['data.npz', 'model.int8.onnx', 'model.onnx', 'model.onnx_data']);
  });

  it('missing: refused, with the file', async () => {
    const { cwd, data } = await external();
    rmSync(data);
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toContain('model.onnx_data');
  });

  it('outside the folder: refused', async () => {
    const { cwd, model, data } = await external();
    // A location of the same length, so that the protobuf around it stays true.
    const away = '../secret-weigh';
    writeFileSync(join(cwd, away), readFileSync(data));
    const bytes = readFileSync(model).toString('latin1').replaceAll('model.onnx_data', away);
    writeFileSync(model, bytes, 'latin1');
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toContain(`expected a file in the model's folder, got "${away}"`);
  });

  it('behind a link that leaves the folder: refused', async () => {
    const { cwd, data } = await external();
    writeFileSync(join(cwd, '../secret'), readFileSync(data));
    rmSync(data);
    symlinkSync('../secret', data);
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toContain(`expected a file in the model's folder, got "model.onnx_data"`);
  });
});

describe('calibration data', () => {
  const bad = noise(IMAGES);
  bad.data[5 * 64 + 3] = Number.NaN;

  it.each([
    ['of another name', { picture: noise(IMAGES) }, "calibrate: expected inputs 'image', got 'picture'"],
    [
      'with one too many',
      { image: noise(IMAGES), y: noise([2]) },
      "calibrate: expected inputs 'image', got 'image', 'y'",
    ],
    [
      'without an axis',
      { image: noise([SAMPLES, 8, 8]) },
      "calibrate: input 'image': expected float32 [N, 1, 8, 8], got float32 [12, 8, 8]",
    ],
    [
      'of another size',
      { image: noise([SAMPLES, 1, 8, 9]) },
      "calibrate: input 'image': expected float32 [N, 1, 8, 8], got float32 [12, 1, 8, 9]",
    ],
    [
      'of another dtype',
      { image: tensor(new Uint8Array(SAMPLES * 64), IMAGES) },
      "calibrate: input 'image': expected float32 [N, 1, 8, 8], got uint8 [12, 1, 8, 8]",
    ],
    ['with NaN', { image: bad }, "calibrate: expected numbers in array 'image', got NaN in sample 5"],
    ['without samples', { image: noise([0, 1, 8, 8]) }, 'calibrate: expected at least 1 samples, got 0'],
  ])('%s: refused', async (_, arrays, message) => {
    const cwd = await goodFolder();
    saveNpz(cwd, arrays);
    const { code, stderr } = await failing(cwd);
    expect(error(stderr)).toBe(message);
    expect(hint(stderr)).not.toBe('');
    expect(code).toBe(1);
  });

  it('with more samples for one input than for another: refused', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, twoInputs());
    saveNpz(cwd, { a: noise([4, 16]), b: noise([5, 16]) });
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toBe("calibrate: expected as many samples in every array, got 4 in 'a', 5 in 'b'");
  });

  it.each([
    ['missing', undefined, /data\.npz: expected a file, got nothing there/],
    ['empty', '', /data\.npz: expected an \.npz, \.npy or \.jsonl file, got an empty file/],
    ['text', 'a,b\n1,2\n', /data\.npz: expected an \.npz, \.npy or \.jsonl file, got other bytes/],
  ])('%s: refused', async (_, text, message) => {
    const cwd = await goodFolder();
    if (text === undefined) rmSync(join(cwd, 'data.npz'));
    else writeFileSync(join(cwd, 'data.npz'), text);
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(message);
  });

  it.each([10, 500, -1])('cut off at byte %i: refused', async (at) => {
    const cwd = await goodFolder();
    const path = join(cwd, 'data.npz');
    writeFileSync(path, readFileSync(path).subarray(0, at));
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/^data\.npz: expected /);
  });

  it('a folder without images, and words about images for a file: refused', async () => {
    const cwd = await goodFolder();
    mkdirSync(join(cwd, 'images'));
    writeFileSync(join(cwd, 'images/labels.txt'), 'none');
    const { code, stderr } = await failing(cwd, ['quantize', 'model.onnx', '-c', 'images']);
    expect(code).toBe(1);
    expect(error(stderr)).toBe('calibrate: expected at least 1 samples, got 0');
    const words = await failing(cwd, [...QUANTIZE, '--mean', '0.5']);
    expect(words.code).toBe(2);
    expect(error(words.stderr)).toBe(
      '--mean: expected a folder of images (--calibrate), got a file: data.npz',
    );
  });

  it('a line of .jsonl that does not fit: refused, with line and input', async () => {
    const cwd = await goodFolder();
    const line = (value: unknown): string => `${JSON.stringify({ image: value })}\n`;
    writeFileSync(join(cwd, 'data.jsonl'), line(Array(64).fill(0.5)) + line(Array(63).fill(0.5)));
    const { code, stderr } = await failing(cwd, ['quantize', 'model.onnx', '-c', 'data.jsonl']);
    expect(code).toBe(1);
    expect(error(stderr)).toBe(
      "calibrate: data.jsonl: line 2: input 'image': expected one sample of float32 [N, 1, 8, 8], got [63]",
    );
  });
});

describe('the output', () => {
  it('is there already: refused without --force, before anything is read or run', async () => {
    const cwd = await goodFolder();
    writeFileSync(join(cwd, 'model.int8.onnx'), 'mine');
    rmSync(join(cwd, 'data.npz'));
    const { code, stderr } = await failing(cwd);
    expect(code).toBe(1);
    expect(error(stderr)).toBe('model.int8.onnx: expected no file there, got an existing one');
    expect(hint(stderr)).toMatch(/--force/);
    expect(readFileSync(join(cwd, 'model.int8.onnx'), 'utf8')).toBe('mine');
  });

  it('is a folder: refused even with --force', async () => {
    const cwd = await goodFolder();
    mkdirSync(join(cwd, 'model.int8.onnx'));
    expect((await failing(cwd, [...QUANTIZE, '--force'])).code).toBe(1);
  });

  it('is in a folder that is not there, or is none: refused before anything is read or run', async () => {
    const cwd = await goodFolder();
    rmSync(join(cwd, 'data.npz'));
    for (const [path, got] of [
      ['no/where.onnx', 'nothing there'],
      ['model.onnx/where.onnx', 'a file'],
    ]) {
      const { code, stderr } = await failing(cwd, [...QUANTIZE, '-o', path]);
      expect(code).toBe(1);
      expect(error(stderr)).toBe(`${path}: expected a folder to write to, got ${got}`);
    }
  });

  it('passes the largest size of a file: refused, nothing left', async () => {
    const cwd = await goodFolder();
    const { code, stderr } = await failing(cwd, QUANTIZE, { before: 'ulimit -f 1;' });
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/\/model\.int8\.onnx: expected to write the file, got a file too large/);
  });

  const canMount = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0;

  it.skipIf(!canMount)('fills the disk: refused, nothing left', async (context) => {
    const cwd = await goodFolder();
    const disk = join(cwd, 'disk');
    mkdirSync(disk);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', disk]).status === 0;
    if (!mounted) return context.skip('mounting is not allowed here');
    onTestFinished(() => void spawnSync('umount', [disk]));
    writeFileSync(join(disk, 'filler'), new Uint8Array(8192));
    const { code, stderr } = await failing(cwd, [...QUANTIZE, '-o', 'disk/out.onnx']);
    expect(code).toBe(1);
    expect(error(stderr)).toMatch(/disk\/out\.onnx: expected .*(full disk|ENOSPC|no space)/);
  });
});

describe('the user', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'interrupts calibration with %s: exit 130, one line, nothing left',
    async (signal) => {
      const cwd = temporaryFolder();
      await saveModel(cwd);
      // A sample a run: more than a test would wait for.
      saveNpz(cwd, { image: tensor(new Float32Array(64 * 100_000), [100_000, 1, 8, 8]) });
      let sent = false;
      const { code, stderr } = await failing(cwd, [...QUANTIZE, '--batch-size', '1'], {
        onStderr(text, kill) {
          if (sent || !text.includes('calibrate: ')) return;
          sent = true;
          kill(signal);
        },
      });
      expect(sent).toBe(true);
      expect(stderr).toMatch(/\ninterrupted; nothing was written\n$/);
      expect(code).toBe(130);
    },
  );

  it('interrupts twice while a model of more than 256 MB is staged for the runtime: nothing left', async () => {
    const cwd = temporaryFolder();
    const stage = join(cwd, 'tmp');
    mkdirSync(stage);
    await saveBigModel(cwd);
    saveNpz(cwd, { x: noise([2, BIG]) });
    let signals = 0;
    const words = ['calibrate', 'model.onnx', '-c', 'data.npz'];
    const { code } = await failing(cwd, words, {
      env: { TMPDIR: stage },
      onTick(kill) {
        if (readdirSync(stage).length === 0 || signals === 2) return;
        signals++;
        kill('SIGINT');
      },
    });
    expect(signals).toBe(2);
    expect(code).toBe(130);
  });

  it('runs it twice at once: one writes, the other says so', async () => {
    const cwd = await goodFolder();
    const words = [...QUANTIZE, '--no-verify'];
    const results = await Promise.all([zeropoint(words, { cwd }), zeropoint(words, { cwd })]);
    const [done, failed] = results.toSorted((a, b) => (a.code ?? 0) - (b.code ?? 0));
    expect(done.code).toBe(0);
    expect(failed.code).toBe(1);
    expect(error(failed.stderr)).toMatch(/expected no file there, got an existing one/);
    expect(listing(cwd)).toEqual(['data.npz', 'model.int8.onnx', 'model.onnx']);
  });

  it.skipIf(!existsSync('/dev/full'))('prints to a full disk: one line, no stack', async () => {
    const cwd = await goodFolder();
    const { code, stderr } = await failing(cwd, ['inspect', 'model.onnx'], { before: 'exec >/dev/full;' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: stdout: expected to write, got Error: ENOSPC.*\n$/);
  });

  it('asks for --debug: the stack is shown', async () => {
    const cwd = temporaryFolder();
    const { code, stderr } = await zeropoint(['inspect', 'model.onnx', '--debug'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: [^]*\n {4}at /);
  });

  it('asks for --json: the error is a document too', async () => {
    const cwd = temporaryFolder();
    const { code, stdout } = await zeropoint(['inspect', 'model.onnx', '--json'], { cwd });
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'FORMAT_NOT_A_FILE' });
  });

  it('asks for --json and gets an option wrong: a document too', async () => {
    const cwd = temporaryFolder();
    const { code, stdout, stderr } = await zeropoint(['inspect', 'm.onnx', '--json', '--wrong'], { cwd });
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error).toEqual({ code: 'USAGE', message: "unknown option '--wrong'" });
    expect(stderr).toMatch(/^error: unknown option '--wrong'/);
  });
});
