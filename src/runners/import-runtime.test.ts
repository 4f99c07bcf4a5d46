import { expect, it } from 'vitest';
import { importRuntime } from './import-runtime.ts';

const failing = (message: string, code?: string) => () =>
  Promise.reject(Object.assign(new Error(message), { code }));

it('names the command that installs a missing runtime', async () => {
  const load = failing("Cannot find package 'onnxruntime-node' imported from x.js", 'ERR_MODULE_NOT_FOUND');
  await expect(importRuntime('onnxruntime-node', load, undefined)).rejects.toMatchObject({
    code: 'RUNTIME_MISSING',
    hint: 'Run: npm install onnxruntime-node',
  });
});

it('does not call a runtime missing that lacks its native binary', async () => {
  const load = failing(
    "Cannot find module '../bin/napi-v6/linux/x64/onnxruntime_binding.node'",
    'MODULE_NOT_FOUND',
  );
  await expect(importRuntime('onnxruntime-node', load, undefined)).rejects.toMatchObject({
    code: 'RUNTIME_FAILED',
  });
});

it('takes the module that the caller has, with or without a default export, and refuses anything else', async () => {
  const ort = { InferenceSession: {}, Tensor: Array, env: {} };
  const never = failing('not asked');
  expect(await importRuntime('onnxruntime-web', never, ort)).toBe(ort);
  expect(await importRuntime('onnxruntime-web', never, { default: ort })).toBe(ort);
  await expect(importRuntime('onnxruntime-web', never, {})).rejects.toThrow(TypeError);
});
