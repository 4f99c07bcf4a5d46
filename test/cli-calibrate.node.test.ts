/** Plans on the command line: kept, applied, merged, and gone on with after a stop. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mergePlanFiles, writeModel, type PlanFile } from 'zeropoint/onnx';
import { convNet, noise, saveModel, saveNpz } from './support/cli-models.ts';
import {
  installElsewhere,
  listing,
  temporaryFolder,
  useCli,
  type CliOptions,
  type CliResult,
} from './support/cli.ts';

const zeropoint = useCli();

const SAMPLES = 40;
const CALIBRATE = ['calibrate', 'model.onnx', '-c', 'data.npz', '-o', 'plan.json', '--batch-size', '4'];

async function goodFolder(samples = SAMPLES): Promise<string> {
  const cwd = temporaryFolder();
  await saveModel(cwd);
  saveNpz(cwd, { image: noise([samples, 1, 8, 8]) });
  return cwd;
}

async function run(
  cwd: string,
  args: readonly string[],
  options: Omit<CliOptions, 'cwd'> = {},
): Promise<CliResult> {
  const result = await zeropoint(args, { cwd, ...options });
  expect(result.stderr).not.toMatch(/^error/m);
  expect(result.code).toBe(0);
  return result;
}

/** Runs a command that must fail and leave the folder as it was; gives its error. */
async function refused(cwd: string, args: readonly string[], exitCode = 1): Promise<string> {
  const before = listing(cwd);
  const { code, stdout, stderr } = await zeropoint(args, { cwd });
  expect(listing(cwd)).toEqual(before);
  expect(stdout).toBe('');
  expect(code).toBe(exitCode);
  expect(stderr).not.toMatch(/^ +at /m);
  return /^error: (.*)$/m.exec(stderr)?.[1] ?? stderr;
}

const planIn = (cwd: string, name = 'plan.json'): PlanFile =>
  JSON.parse(readFileSync(join(cwd, name), 'utf8'));

describe('zeropoint calibrate', () => {
  it('writes a plan that tells model, words and data, and what to do next', async () => {
    const cwd = await goodFolder();
    const { stdout } = await run(cwd, CALIBRATE);
    expect(stdout).toMatch(/^wrote +plan\.json {2}\(40 samples, /);
    expect(stdout).toMatch(/next: zeropoint quantize model\.onnx --plan plan\.json\n$/);
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx', 'plan.json']);
    expect(planIn(cwd)).toMatchObject({
      format: 'zeropoint plan',
      version: 1,
      model: { name: 'model.onnx', size: readFileSync(join(cwd, 'model.onnx')).length, opset: 17 },
      configuration: { observer: 'minmax', activationDtype: 'uint8', perTensor: false, exclude: [] },
      data: [{ source: 'data.npz', samples: 40, batchSize: 4 }],
      plan: { samples: 40 },
    });
  });

  it('--json, --quiet and --dry-run do as everywhere; the default name lies beside the model', async () => {
    const cwd = await goodFolder();
    const words = ['calibrate', 'model.onnx', '-c', 'data.npz'];
    const dry = JSON.parse((await run(cwd, [...words, '--dry-run', '--json'])).stdout);
    expect(dry).toMatchObject({ output: 'model.plan.json', samples: 40, batchSize: 32, quantized: 4 });
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx']);
    expect(await run(cwd, [...words, '--quiet'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await refused(cwd, words)).toBe('model.plan.json: expected no file there, got an existing one');
    const result = JSON.parse((await run(cwd, [...words, '--force', '--json'])).stdout);
    expect(result).toMatchObject({ output: 'model.plan.json', samples: 40, resumedAfter: 0, shard: null });
  });

  it.each(['minmax', 'histogram'])(
    '--observer %s, then quantize --plan: the bytes of quantize --calibrate',
    async (observer) => {
      const cwd = await goodFolder();
      await run(cwd, [...CALIBRATE, '--observer', observer]);
      await run(cwd, ['quantize', 'model.onnx', '--plan', 'plan.json', '-o', 'a.onnx']);
      const words = ['-c', 'data.npz', '--batch-size', '4', '--observer', observer, '-o', 'b.onnx'];
      await run(cwd, ['quantize', 'model.onnx', ...words]);
      expect(readFileSync(join(cwd, 'a.onnx')).equals(readFileSync(join(cwd, 'b.onnx')))).toBe(true);
    },
  );

  it('needs data', async () => {
    const cwd = await goodFolder();
    expect(await refused(cwd, ['calibrate', 'model.onnx'], 2)).toMatch(
      /expected calibration data \(--calibrate\)/,
    );
  });
});

describe('data', () => {
  const IMAGES = fileURLToPath(new URL('fixtures/calibration', import.meta.url));

  it('.jsonl gives the plan that .npz gives, with --samples, --shuffle and --shard too', async () => {
    const cwd = await goodFolder();
    const { data } = noise([SAMPLES, 1, 8, 8]);
    const lines = Array.from({ length: SAMPLES }, (_, i) => {
      const values = Array.from(data.slice(i * 64, (i + 1) * 64), Number);
      return `${JSON.stringify({ image: values })}\n`;
    });
    writeFileSync(join(cwd, 'data.jsonl'), lines.join(''));
    for (const words of [[], ['--samples', '9'], ['--samples', '9', '--shuffle', '5'], ['--shard', '2/3']]) {
      const plans = [];
      for (const source of ['data.npz', 'data.jsonl']) {
        const base = [
          'calibrate',
          'model.onnx',
          '-c',
          source,
          '-o',
          'plan.json',
          '--force',
          '--batch-size',
          '4',
        ];
        await run(cwd, [...base, ...words]);
        plans.push(planIn(cwd).plan);
      }
      expect(plans[1]).toEqual(plans[0]);
    }
  });

  it('a folder of images is taken as the words say, and the decoder is told', async () => {
    const cwd = await goodFolder();
    const words = ['-c', IMAGES, '--mean', '0.5', '--std', '0.25', '--size', '10', '--json'];
    const { calibration } = JSON.parse((await run(cwd, ['quantize', 'model.onnx', ...words])).stdout);
    expect(calibration).toEqual([
      { source: IMAGES, samples: 5, batchSize: 32, decoder: expect.stringMatching(/^sharp \d/) },
    ]);
    await run(cwd, ['calibrate', 'model.onnx', ...words, '-o', 'plan.json']);
    const { data, plan } = planIn(cwd);
    expect(data).toEqual([{ ...calibration[0], digest: expect.stringMatching(/^[0-9a-f]{16}$/) }]);
    // (0 - 0.5) / 0.25 and (1 - 0.5) / 0.25 are the ends of what the input can be.
    const { minVal, maxVal } = (plan.activations.image.state?.state ?? {}) as Record<string, number[]>;
    expect(minVal[0]).toBeGreaterThanOrEqual(-2);
    expect(maxVal[0]).toBeLessThanOrEqual(2);
    expect(maxVal[0] - minVal[0]).toBeGreaterThan(2);
  });

  it.each([
    [['--mean', '1,2'], '--mean: expected 1 value, got 2'],
    [['--std', '0'], '--std: expected finite values other than 0, got 0'],
    [['--scale', '0'], '--scale: expected finite values other than 0, got 0'],
    [
      ['--config', 'quant.json'],
      'quant.json: calibration.images.std: expected finite values other than 0, got 0',
    ],
  ])('%j that fits no image: exit code 2, and the word is named', async (words, message) => {
    const cwd = await goodFolder();
    writeFileSync(join(cwd, 'quant.json'), JSON.stringify({ calibration: { images: { std: [0] } } }));
    for (const verb of ['calibrate', 'quantize']) {
      expect(await refused(cwd, [verb, 'model.onnx', '-c', IMAGES, ...words], 2)).toBe(message);
    }
  });

  it('sharp is taken from the project of the working directory, or it is said how to get it', async () => {
    const cwd = await goodFolder();
    const { zeropoint: elsewhere } = installElsewhere(zeropoint);
    const words = ['calibrate', 'model.onnx', '-c', IMAGES, '--dry-run', '--json'];
    const missing = await elsewhere(words, { cwd });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toBe(
      'error: calibrate: expected the package sharp to decode images, got none\nhint: Run: npm install sharp\n',
    );
    mkdirSync(join(cwd, 'node_modules'));
    symlinkSync(
      fileURLToPath(new URL('../node_modules/sharp', import.meta.url)),
      join(cwd, 'node_modules/sharp'),
    );
    const { code, stdout } = await elsewhere(words, { cwd });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).samples).toBe(5);
  });

  it.each([
    ['--size', '0'],
    ['--size', '8x8x8'],
    ['--mean', '0.5,'],
    ['--std', 'a'],
    ['--layout', 'CHW'],
    ['--channels', 'cmyk'],
    ['--shard', '3/2'],
    ['--shard', '0/2'],
  ])('%s %s: exit code 2', async (word, value) => {
    expect(await refused(temporaryFolder(), ['calibrate', 'model.onnx', word, value], 2)).toContain(value);
  });
});

describe('zeropoint quantize --plan', () => {
  it('compares on the data of --calibrate, and lets no word contradict the plan', async () => {
    const cwd = await goodFolder();
    await run(cwd, CALIBRATE);
    const words = ['quantize', 'model.onnx', '--plan', 'plan.json'];
    const { stdout, stderr } = await run(cwd, [...words, '-c', 'data.npz', '--json']);
    expect(stderr).toBe('mode: static, as --plan says\n');
    expect(JSON.parse(stdout)).toMatchObject({ report: { samples: 40 }, verification: { inputs: 'data' } });
    for (const word of [
      ['--observer', 'mse'],
      ['--per-tensor'],
      ['--dynamic'],
      ['--exclude', 'x'],
      ['--activation-dtype', 'int8'],
      ['--weight-dtype', 'uint8'],
      ['--reduce-range'],
    ]) {
      expect(await refused(cwd, [...words, ...word], 2)).toMatch(/--plan <file>' cannot be used with/);
    }
  });

  it('refuses the plan of another model, with what differs', async () => {
    const cwd = await goodFolder();
    await run(cwd, CALIBRATE);
    const quantize = ['quantize', 'other.onnx', '--plan', 'plan.json'];
    const other = convNet();
    other.opsetImports.set('', 18);
    const start =
      /^plan\.json: expected the model that the plan was made for \(model\.onnx\), got another one \(other\.onnx\): /;
    await saveModel(cwd, other, 'other.onnx');
    expect(await refused(cwd, quantize)).toMatch(new RegExp(`${start.source}opset 17 and 18$`));
    await saveModel(cwd, convNet(100), 'larger.onnx');
    expect(await refused(cwd, ['quantize', 'larger.onnx', '--plan', 'plan.json'])).toMatch(
      /: [0-9]+ and [0-9]+ bytes$/,
    );
    // The same layout with other weights: what fine-tuning gives.
    const tuned = readFileSync(join(cwd, 'model.onnx'));
    const kernel = Buffer.from((noise([8, 1, 3, 3], 2).data as Float32Array).buffer);
    tuned.writeFloatLE(0.125, tuned.indexOf(kernel));
    writeFileSync(join(cwd, 'tuned.onnx'), tuned);
    expect(await refused(cwd, ['quantize', 'tuned.onnx', '--plan', 'plan.json'])).toMatch(
      /other nodes or weights$/,
    );
  });

  it('takes a model that was renamed', async () => {
    const cwd = await goodFolder();
    await run(cwd, CALIBRATE);
    await writeModel(convNet(), join(cwd, 'renamed.onnx'));
    await run(cwd, ['quantize', 'renamed.onnx', '--plan', 'plan.json']);
  });

  it.each([
    ['nothing there', undefined, /^plan\.json: expected a plan, got nothing there/],
    ['no JSON', '{"format": ', /^plan\.json: expected a plan in JSON, got text that is none/],
    ['a list', '[]', /^plan\.json: expected an object in the file, got \[\]/],
    ['other JSON', '{"a": 1}', /^plan\.json: expected "zeropoint plan" in format, got nothing/],
    [
      'another version',
      (plan: PlanFile) => ({ ...plan, version: 2 }),
      /^plan\.json: expected 1 in version, got 2/,
    ],
    [
      'another version inside',
      (file: PlanFile) => ({ ...file, plan: { ...file.plan, version: 7 } }),
      /expected 1 in version, got 7/,
    ],
    [
      'no nodes',
      (file: PlanFile) => ({ ...file, plan: { ...file.plan, nodes: undefined } }),
      /expected a list in nodes, got nothing/,
    ],
    [
      'a count that is none',
      (file: PlanFile) => ({ ...file, plan: { ...file.plan, samples: -1 } }),
      /expected a count in samples, got -1/,
    ],
    [
      'a model without digest',
      (file: PlanFile) => ({ ...file, model: { ...file.model, digest: 1 } }),
      /expected a string in model\.digest, got 1/,
    ],
    [
      'NaN',
      (file: PlanFile) => JSON.stringify(file).replace(/"minVal":\[[^\]]*\]/, '"minVal":[NaN]'),
      /expected a plan in JSON, got text that is none/,
    ],
    [
      'text for a range',
      (file: PlanFile) => JSON.stringify(file).replace(/"minVal":\[[^\]]*\]/, '"minVal":["NaN"]'),
      /^plan\.json: activation '\w+': observer state: expected float32 values or null in minVal, got \["NaN"\]/,
    ],
    [
      'an unknown observer',
      (file: PlanFile) => JSON.stringify(file).replaceAll('"MinMaxObserver"', '"Best"'),
      /expected one of .*MinMaxObserver.*in type, got "Best"/,
    ],
  ])('%s: refused', async (_, spoilt, message) => {
    const cwd = await goodFolder();
    if (typeof spoilt === 'string') writeFileSync(join(cwd, 'plan.json'), spoilt);
    else if (spoilt !== undefined) {
      await run(cwd, CALIBRATE);
      const broken = spoilt(planIn(cwd));
      writeFileSync(join(cwd, 'plan.json'), typeof broken === 'string' ? broken : JSON.stringify(broken));
    }
    expect(await refused(cwd, ['quantize', 'model.onnx', '--plan', 'plan.json'])).toMatch(message);
  });

  it('a plan without ranges (null is what NaN becomes): refused, with the value', async () => {
    const cwd = await goodFolder();
    await run(cwd, CALIBRATE);
    const empty = JSON.stringify(planIn(cwd)).replaceAll(/"(minVal|maxVal)":\[[^\]]*\]/g, '"$1":[null]');
    writeFileSync(join(cwd, 'plan.json'), empty);
    expect(await refused(cwd, ['quantize', 'model.onnx', '--plan', 'plan.json'])).toMatch(
      /tensor '\w+': expected observed values, got none/,
    );
  });
});

describe('zeropoint plan merge', () => {
  const shard = (part: string, ...words: readonly string[]): readonly string[] => [
    ...CALIBRATE.map((word) => (word === 'plan.json' ? `${part.replace('/', '-')}.json` : word)),
    '--shard',
    part,
    ...words,
  ];
  const merge = (...names: readonly string[]): readonly string[] => [
    'plan',
    'merge',
    ...names,
    '-o',
    'merged.json',
  ];

  it('of all shards equals the plan of the whole for min/max, exactly', async () => {
    const cwd = await goodFolder();
    for (const part of ['1/3', '2/3', '3/3']) await run(cwd, shard(part));
    const { stdout } = await run(cwd, merge('3-3.json', '1-3.json', '2-3.json'));
    expect(stdout).toMatch(
      /^wrote +merged\.json {2}\(40 samples of 3 plans\)\n\nnext: zeropoint quantize model\.onnx --plan merged\.json\n$/,
    );
    await run(cwd, CALIBRATE);
    expect(planIn(cwd, 'merged.json').plan).toEqual(planIn(cwd).plan);
    await run(cwd, ['quantize', 'model.onnx', '--plan', 'merged.json']);
  });

  it('of histograms: every value counted, on average less than a bin from where the whole has it', async () => {
    const cwd = await goodFolder();
    for (const part of ['1/2', '2/2']) await run(cwd, shard(part, '--observer', 'histogram'));
    await run(cwd, merge('1-2.json', '2-2.json'));
    await run(cwd, [...CALIBRATE, '--observer', 'histogram']);
    const [merged, whole] = [planIn(cwd, 'merged.json'), planIn(cwd)].map(({ plan }) => plan.activations);
    for (const name of Object.keys(whole)) {
      const state = (file: typeof whole) =>
        file[name].state?.state as { minVal: number[]; maxVal: number[]; histogram: number[] };
      const [ours, theirs] = [state(merged), state(whole)];
      expect([ours.minVal, ours.maxVal]).toEqual([theirs.minVal, theirs.maxVal]);
      // How far values lie from where they lie in the other, on average, in bins: the area between cumulative counts.
      let [ahead, area, total] = [0, 0, 0];
      for (const [k, count] of ours.histogram.entries()) {
        ahead += count - theirs.histogram[k];
        area += Math.abs(ahead);
        total += count;
      }
      expect(ahead).toBeCloseTo(0, 6);
      expect(area / total).toBeLessThan(1);
    }
  });

  it('of some shards says which are missing, and so does quantize', async () => {
    const cwd = await goodFolder();
    for (const part of ['1/4', '3/4']) await run(cwd, shard(part));
    expect((await run(cwd, merge('1-4.json', '3-4.json'))).stdout).toContain(
      'merge the missing shards too: 2, 4',
    );
    const { stderr } = await run(cwd, ['quantize', 'model.onnx', '--plan', 'merged.json']);
    expect(stderr).toContain('shards 2, 4 of the data are not in it');
  });

  it('refuses what does not belong together, with the reason', async () => {
    const cwd = await goodFolder();
    for (const part of ['1/2', '2/2', '1/3']) await run(cwd, shard(part));
    expect(await refused(cwd, merge('1-2.json', '1-3.json'))).toBe(
      'merge: expected shards of one count, got 1/2 and 1/3',
    );
    expect(await refused(cwd, merge('1-2.json', '1-2.json'))).toBe(
      'merge: expected each shard once, got 1/2 twice',
    );
    await run(cwd, shard('2/2', '--force', '--observer', 'histogram'));
    expect(await refused(cwd, merge('1-2.json', '2-2.json'))).toBe(
      'merge: expected plans of one configuration, got observer "minmax" and "histogram"',
    );
    await run(cwd, shard('2/2', '--force', '--shuffle', '3'));
    expect(await refused(cwd, merge('1-2.json', '2-2.json'))).toBe(
      'merge: expected shards of one division, got seed none and 3',
    );
    expect(await refused(cwd, merge('1-2.json'), 2)).toBe('plan merge: expected two plans or more, got 1');
    await writeModel(convNet(4), join(cwd, 'model.onnx'), { overwrite: true });
    await run(cwd, shard('2/2', '--force'));
    expect(await refused(cwd, merge('1-2.json', '2-2.json'))).toMatch(
      /^merge: expected plans of one model, got model\.onnx and model\.onnx: /,
    );
  });

  it('refuses the same data twice, and beside its own shard; other data of the same name is merged', async () => {
    const cwd = await goodFolder();
    await run(cwd, CALIBRATE);
    await run(cwd, shard('1/3'));
    expect(await refused(cwd, merge('plan.json', 'plan.json'))).toBe(
      'merge: expected each sample once, got data.npz and data.npz',
    );
    expect(await refused(cwd, merge('1-3.json', 'plan.json'))).toBe(
      'merge: expected each sample once, got data.npz (shard 1/3) and data.npz',
    );
    saveNpz(cwd, { image: noise([SAMPLES, 1, 8, 8], 2) });
    await run(cwd, [...CALIBRATE.slice(0, 4), '-o', 'other.json', '--batch-size', '4']);
    await run(cwd, merge('plan.json', 'other.json'));
    expect(planIn(cwd, 'merged.json').plan.samples).toBe(2 * SAMPLES);
    expect(await refused(cwd, [...merge('merged.json', 'other.json'), '--force'])).toContain(
      'each sample once',
    );
    const [old, whole] = ['other.json', 'plan.json'].map((name) => planIn(cwd, name));
    const [{ digest: _digest, ...part }] = old.data;
    expect(() => mergePlanFiles([{ ...old, data: [part] }, whole])).toThrow('each sample once');
    const named = { ...old, data: [{ ...part, source: 'other.npz' }] };
    expect(mergePlanFiles([named, whole]).data).toHaveLength(2);
  });

  it('refuses moving averages, with the reason', async () => {
    const cwd = await goodFolder();
    for (const part of ['1/2', '2/2']) await run(cwd, shard(part, '--observer', 'moving-average'));
    expect(await refused(cwd, merge('1-2.json', '2-2.json'))).toMatch(
      /moving average depends on the order of the batches/,
    );
  });
});

describe('a calibration that was stopped', () => {
  /** Batches of one: several seconds, while the first state is kept after one. */
  const LONG = 40_000;
  const long = ['calibrate', 'model.onnx', '-c', 'data.npz', '-o', 'plan.json', '--batch-size', '1'];

  /** Stops a long calibration as soon as it has kept a state. */
  async function stopped(cwd: string, signal: NodeJS.Signals): Promise<CliResult> {
    let sent = false;
    const result = await zeropoint([...long, '--observer', 'histogram'], {
      cwd,
      onTick(kill) {
        if (sent || !existsSync(join(cwd, 'plan.json.partial'))) return;
        sent = true;
        kill(signal);
      },
    });
    expect(sent).toBe(true);
    return result;
  }

  it.each(['SIGINT', 'SIGKILL'] as const)(
    'by %s goes on with --resume: the same plan as without a stop',
    async (signal) => {
      const cwd = await goodFolder(LONG);
      const { code, stderr } = await stopped(cwd, signal);
      if (signal === 'SIGINT') {
        expect(code).toBe(130);
        expect(stderr).toMatch(
          /^interrupted; kept plan\.json\.partial; go on with the same words and --resume\n$/m,
        );
      }
      expect(listing(cwd).filter((name) => !name.endsWith('.tmp'))).toEqual([
        'data.npz',
        'model.onnx',
        'plan.json.partial',
      ]);

      const again = [...long, '--observer', 'histogram'];
      expect(await refused(cwd, again)).toBe(
        'plan.json.partial: expected no earlier calibration, got one that was stopped',
      );
      expect(await refused(cwd, [...long, '--resume'])).toBe(
        'plan.json.partial: expected to go on with observer "histogram", got "minmax"',
      );
      const result = JSON.parse((await run(cwd, [...again, '--resume', '--json'])).stdout);
      expect(result.samples).toBe(LONG);
      expect(result.resumedAfter).toBeGreaterThan(0);
      expect(existsSync(join(cwd, 'plan.json.partial'))).toBe(false);
      const kept = readFileSync(join(cwd, 'plan.json'), 'utf8');
      await run(cwd, [...again, '--force']);
      expect(readFileSync(join(cwd, 'plan.json'), 'utf8') === kept).toBe(true);
    },
    120_000,
  );

  it('--resume refuses other data of the same name and as many samples; what kept no digest of it goes on', async () => {
    const cwd = await goodFolder();
    await run(cwd, CALIBRATE);
    const whole = planIn(cwd);
    const kept = { ...whole, resume: { batches: SAMPLES / 4, samples: SAMPLES } };
    rmSync(join(cwd, 'plan.json'));
    writeFileSync(join(cwd, 'plan.json.partial'), JSON.stringify(kept));
    mkdirSync(join(cwd, 'other'));
    saveNpz(join(cwd, 'other'), { image: noise([SAMPLES, 1, 8, 8], 2) });
    const words = [...CALIBRATE.map((word) => (word === 'data.npz' ? 'other/data.npz' : word)), '--resume'];
    expect(await refused(cwd, words)).toMatch(
      /^plan\.json\.partial: expected to go on with data of digest "[0-9a-f]{16}", got "[0-9a-f]{16}"$/,
    );
    const [{ digest: _digest, ...part }] = whole.data;
    writeFileSync(join(cwd, 'plan.json.partial'), JSON.stringify({ ...kept, data: [part] }));
    await run(cwd, [...CALIBRATE, '--resume']);
    expect(planIn(cwd)).toEqual(whole);
  });

  it('--resume without one begins at the start and says so', async () => {
    const cwd = await goodFolder();
    expect((await run(cwd, [...CALIBRATE, '--resume'])).stderr).toBe(
      'nothing to resume: beginning at the start\n',
    );
  });
});
