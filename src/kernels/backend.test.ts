import { afterEach, expect, test } from 'vitest';
import { getBackend, initKernels, kernels, setBackend, type BackendName } from './backend.ts';
import { referenceKernels } from './reference.ts';

afterEach(() => setBackend('wasm'));

test('wasm is the default where SIMD is there', () => {
  expect(getBackend()).toBe('wasm');
  expect(kernels().name).toBe('wasm');
});

test('setBackend switches what kernels() gives, both ways', () => {
  setBackend('reference');
  expect(kernels()).toBe(referenceKernels);
  expect(getBackend()).toBe('reference');
  setBackend('wasm');
  expect(getBackend()).toBe('wasm');
});

test.each(['webgpu', '', 'toString', undefined])('setBackend refuses %s and changes nothing', (name) => {
  expect(() => setBackend(name as BackendName)).toThrow(
    new RangeError(`setBackend: expected 'wasm' or 'reference', got '${String(name)}'`),
  );
  expect(getBackend()).toBe('wasm');
});

test('initKernels switches to wasm', async () => {
  setBackend('reference');
  await initKernels();
  expect(getBackend()).toBe('wasm');
});
