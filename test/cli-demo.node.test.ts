/** The demo's promise: fmnist in int8, by the command that the demo runs. Latency is shown there, and not tested. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createRunner } from 'zeropoint/onnx';
import { accuracy, heldOut } from '../examples/demo/measure.ts';
import { listing, temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();
const DATA = fileURLToPath(new URL('../examples/demo/data/', import.meta.url));

const MAX_SIZE = 0.3;
const MAX_DROP = 0.005;
/** The files of the demo are part of the repository. */
const MAX_DATA_BYTES = 2_000_000;

it(`fmnist: size ≤ ${MAX_SIZE * 100} %, accuracy drop ≤ ${MAX_DROP * 100} points on held-out images`, async () => {
  const cwd = temporaryFolder();
  const float = join(DATA, 'fmnist_resdw.onnx');
  const int8 = join(cwd, 'int8.onnx');
  const args = [
    'quantize',
    float,
    '--calibrate',
    join(DATA, 'calibration.npz'),
    '--per-tensor',
    '--output',
    int8,
  ];
  const { code, stderr } = await zeropoint(args, { cwd });
  expect([code, stderr]).toEqual([0, 'mode: static, a conv net: 10 convolutions, and there is data\n']);
  expect(readFileSync(int8).length / readFileSync(float).length).toBeLessThanOrEqual(MAX_SIZE);
  const images = await heldOut(join(DATA, 'held_out.npz'));
  const shares = [];
  for (const file of [float, int8]) {
    const runner = await createRunner(file, { optimization: 'all' });
    shares.push(await accuracy(runner, images));
    await runner.dispose();
  }
  expect(images.count).toBe(3000);
  expect(shares[0]).toBeGreaterThan(0.9);
  expect(shares[0] - shares[1]).toBeLessThanOrEqual(MAX_DROP);
});

it(`the data of the demo takes less than ${MAX_DATA_BYTES / 1e6} MB`, () => {
  const size = listing(DATA).reduce((sum, name) => sum + statSync(join(DATA, name)).size, 0);
  expect(size).toBeLessThan(MAX_DATA_BYTES);
});
