import { expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, type GraphBuilder, type Model } from 'zeropoint/onnx';
import { UsageError } from './errors.ts';
import { chooseMode } from './mode.ts';

const DATA = { calibrate: 'data.npz' };

function modelOf(build: (b: GraphBuilder) => void): Model {
  return buildModel(build);
}

const conv = modelOf((b) => {
  const x = b.input('x', 'float32', ['N', 1, 2, 2]);
  b.output(b.op('Conv', [x, b.constant('w', tensor([[[[1]]]]))]), 'y');
});
const mlp = modelOf((b) => {
  b.output(b.op('MatMul', [b.input('x', 'float32', ['N', 1]), b.constant('w', tensor([[1]]))]), 'y');
});
/** A patch embedding by Conv, and attention spelt out. */
const transformer = modelOf((b) => {
  const x = b.input('x', 'float32', ['N', 1, 2, 2]);
  const h = b.op('Conv', [x, b.constant('w', tensor([[[[1]]]]))]);
  b.output(b.op('MatMul', [b.op('Softmax', [b.op('MatMul', [h, h])]), h]), 'y');
});
const recurrent = modelOf((b) => {
  const x = b.input('x', 'float32', [1, 1, 1]);
  const w = b.constant('w', tensor([[[1], [1], [1], [1]]]));
  b.output(b.ops('LSTM', [x, w, w], ['y'])[0]);
});

it.each([
  ['a conv net with data', conv, DATA, 'static'],
  ['matrix products with data', mlp, DATA, 'static'],
  ['matrix products without data', mlp, {}, 'dynamic'],
  ['a transformer with data', transformer, DATA, 'dynamic'],
  ['a recurrent net with data', recurrent, DATA, 'dynamic'],
  ['a transformer that shall be static', transformer, { ...DATA, static: true }, 'static'],
  ['a conv net that shall be dynamic', conv, { dynamic: true }, 'dynamic'],
  ['a conv net in 16 bits', conv, { float16: true }, 'float16'],
  ['weights alone, the rest in 16 bits', mlp, { weights: 4, float16: true }, 'weight-only'],
])('%s', (_, model, words, mode) => {
  expect(chooseMode(model, 'm.onnx', words).mode).toBe(mode);
});

it.each([
  ['a conv net', conv, {}],
  ['--static', mlp, { static: true }],
])('%s without data is refused, and the hint names --calibrate', (_, model, words) => {
  const refused = (): unknown => chooseMode(model, 'm.onnx', words);
  expect(refused).toThrow(UsageError);
  expect(refused).toThrow(/calibrat/);
});
