import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { QuantError } from 'zeropoint';
import { defaultOutput, stageOutput } from './files.ts';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-files-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

it('names the output after the input', () => {
  expect(defaultOutput('dir/model.onnx')).toBe(join('dir', 'model.int8.onnx'));
  expect(defaultOutput('MODEL.ONNX')).toBe('MODEL.int8.onnx');
  expect(defaultOutput('model')).toBe('model.int8.onnx');
});

it('a staged file has its final name, and appears when it is committed', async () => {
  const folder = temporaryFolder();
  const staged = await stageOutput(join(folder, 'a.onnx'), { force: false });
  writeFileSync(staged.path, 'model');
  writeFileSync(`${staged.path}_data`, 'weights');
  expect(staged.path.endsWith('/a.onnx')).toBe(true);
  expect(existsSync(join(folder, 'a.onnx'))).toBe(false);
  await staged.commit();
  await staged.discard();
  expect(readdirSync(folder).toSorted()).toEqual(['a.onnx', 'a.onnx_data']);
});

it('a discarded file leaves nothing', async () => {
  const folder = temporaryFolder();
  const staged = await stageOutput(join(folder, 'a.onnx'), { force: false });
  writeFileSync(staged.path, 'model');
  await staged.discard();
  expect(readdirSync(folder)).toEqual([]);
});

it('external data that is in the way is not overwritten, and nothing is moved', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a.onnx_data'), 'mine');
  const staged = await stageOutput(join(folder, 'a.onnx'), { force: false });
  writeFileSync(staged.path, 'model');
  writeFileSync(`${staged.path}_data`, 'weights');
  await expect(staged.commit()).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  await staged.discard();
  expect(readdirSync(folder)).toEqual(['a.onnx_data']);
  expect(readFileSync(join(folder, 'a.onnx_data'), 'utf8')).toBe('mine');
});

it('of two that are committed at once one succeeds, whole', async () => {
  for (let round = 0; round < 20; round++) {
    const folder = temporaryFolder();
    const target = join(folder, 'a.onnx');
    const staged = [await stageOutput(target, { force: false }), await stageOutput(target, { force: false })];
    staged.forEach(({ path }, index) => {
      writeFileSync(path, `model ${index}`);
      writeFileSync(`${path}_data`, `weights ${index}`);
    });
    // The second one has more files than the first.
    writeFileSync(`${staged[1].path}_data_1`, 'weights 1');
    const results = await Promise.allSettled(staged.map((output) => output.commit()));
    for (const output of staged) await output.discard();
    const winner = results.findIndex(({ status }) => status === 'fulfilled');
    expect(results[1 - winner]).toMatchObject({ reason: { code: 'OUTPUT_EXISTS' } });
    expect(readFileSync(target, 'utf8')).toBe(`model ${winner}`);
    expect(readFileSync(`${target}_data`, 'utf8')).toBe(`weights ${winner}`);
    expect(readdirSync(folder)).toHaveLength(winner === 0 ? 2 : 3);
  }
});

it('errors name the file that the user named', async () => {
  const folder = temporaryFolder();
  const staged = await stageOutput(join(folder, 'a.onnx'), { force: false });
  onTestFinished(() => staged.discard());
  const error = new QuantError(`${staged.path}: expected space, got none`, {
    code: 'OUTPUT_FAILED',
    hint: 'h',
  });
  expect(staged.told(error)).toMatchObject({
    message: `${join(folder, 'a.onnx')}: expected space, got none`,
    code: 'OUTPUT_FAILED',
    hint: 'h',
  });
});
