import { expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, findTarget, TARGETS, type Model } from 'zeropoint/onnx';
import { UsageError } from './errors.ts';
import { decideMode, type ModeWords } from './mode.ts';
import { TARGET_NAMES } from './verbs/options.ts';

/** A conv net; which modes suit other nets, the library's own test says. */
const model: Model = buildModel((b) => {
  const x = b.input('x', 'float32', ['N', 1, 2, 2]);
  b.output(b.op('Conv', [x, b.constant('w', tensor([[[[1]]]]))]), 'y');
});
const decide = (words: ModeWords): ReturnType<typeof decideMode> => decideMode(model, 'm.onnx', words);

it.each([
  [{ dynamic: true }, 'dynamic', 'as --dynamic says', undefined],
  [{ float16: true }, 'float16', 'as --float16 says', 'float16'],
  [{ bfloat16: true }, 'float16', 'as --bfloat16 says', 'bfloat16'],
  [{ weights: 4 }, 'weight-only', 'as --weights says', undefined],
  [{ weights: 4, float16: true }, 'weight-only', 'as --weights says, the rest in float16', 'float16'],
  [{ static: true, calibrate: 'data.npz' }, 'static', 'as --static says', undefined],
  [{ config: 'q.json', settings: { mode: 'dynamic' } }, 'dynamic', 'as q.json says', undefined],
  [{ config: 'q.json', settings: { weights: {} } }, 'weight-only', 'as q.json says', undefined],
  [
    { config: 'q.json', settings: { weights: {}, float16: { dtype: 'bfloat16' } } },
    'weight-only',
    'as q.json says, the rest in bfloat16',
    'bfloat16',
  ],
  [
    { config: 'q.json', settings: { weights: {}, float16: true }, dynamic: true },
    'dynamic',
    'as --dynamic says',
    undefined,
  ],
] satisfies [ModeWords, string, string, string | undefined][])('%j: %s, %s', (words, mode, reason, half) => {
  const { warning: _, ...decision } = decide(words);
  expect(decision).toEqual({ mode, reason, ...(half && { half }) });
});

it('else what the library chooses for data and target', () => {
  expect(decide({ calibrate: 'data.npz' }).mode).toBe('static');
  expect(decide({}).mode).toBe('float16');
  expect(decide({ calibrate: 'data.npz', target: 'web-webgpu' })).toMatchObject({
    mode: 'weight-only',
    weights: 'channels',
  });
});

it.each([
  [{ dynamic: true, target: 'webgpu' }, /no integer products/],
  [{ weights: 4, target: 'web-wasm' }, /no kernel for blocks/],
] satisfies [ModeWords, RegExp][])('%j is done, with a warning', (words, warning) => {
  expect(decide(words).warning).toMatch(warning);
});

it('weights by channel are no blocks, and slow nowhere', () => {
  expect(decide({ target: 'onnxruntime-web' })).toMatchObject({ weights: 'channels' });
  expect(decide({ target: 'onnxruntime-web' })).not.toHaveProperty('warning');
});

it('--static without data is refused, and the hint names --calibrate', () => {
  expect(() => decide({ static: true })).toThrow(UsageError);
  expect(() => decide({ static: true })).toThrow(/calibrat/);
});

it('--target takes the names and aliases of the library', () => {
  const known = Object.entries(TARGETS).flatMap(([name, { aliases }]) => [name, ...aliases]);
  expect(TARGET_NAMES.toSorted()).toEqual(known.toSorted());
  expect(TARGET_NAMES.map(findTarget)).not.toContain(undefined);
});
