import { expect, it } from 'vitest';
import { buildModel } from '../graph/build.ts';
import type { Model } from '../graph/model.ts';
import { tensor } from '../tensor/tensor.ts';
import { batchSizeFor } from './batch-size.ts';

/** A product of `features` inputs, with as many weights as that is squared. */
function product(features: number, dims: readonly (number | string)[] = ['N', features]): Model {
  return buildModel((b) => {
    const w = b.constant('w', tensor(new Float32Array(features ** 2), [features, features]));
    b.output(b.op('MatMul', [b.input('x', 'float32', dims), w]), 'y');
  });
}

it.each([
  ['a small model', product(16), 32],
  ['4 MB of weights', product(1000), 3],
  ['large images', product(4, ['N', 3, 224, 224, 4]), 1],
  ['axes that the model leaves open', product(4, ['N', 'length', 4]), 32],
  ['16 MB of weights', product(2048), 1],
])('%s', (_what, model, expected) => {
  expect(batchSizeFor(model)).toBe(expected);
});
