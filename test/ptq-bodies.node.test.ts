/**
 * Bodies of If, Loop and Scan in the modes that leave activations in float: every product in them is converted, and the
 * result is right at every level. Dynamic and static: ptq-dynamic-bodies, ptq-static-bodies. Local functions, which are put
 * where they are called before any mode begins: inline-functions.
 */
import { describe, expect, it } from 'vitest';
import {
  convertToFloat16,
  quantizeWeights,
  storeWeights,
  type Model,
  type QuantizeWeightsOptions,
} from 'zeropoint/onnx';
import { condition, ifModel, K, loopModel, scanModel } from './support/bodies.ts';
import { worstSqnr, type Feeds } from './support/dynamic.ts';
import { random } from './support/graphs.ts';

const X = { x: random([K, K], 9) };

/** Products in bodies and outside, and what shows each branch. */
const MODELS: Readonly<
  Record<string, { readonly make: () => Model; readonly products: number; readonly feeds: readonly Feeds[] }>
> = {
  If: {
    make: () => ifModel(true),
    products: 4,
    feeds: [true, false].map((value) => ({ ...X, condition: condition(value) })),
  },
  Loop: { make: loopModel, products: 2, feeds: [X] },
  Scan: { make: scanModel, products: 1, feeds: [X] },
};

interface Mode {
  readonly convert: (model: Model) => Promise<Model>;
  /** Of all nodes, in bodies too: how many are there for each product. */
  readonly operator: string;
  /** Three products in a row on uniform data, in dB. */
  readonly leastSqnr: number;
}

const blocks = (options: QuantizeWeightsOptions): Mode['convert'] => {
  return async (model) => (await quantizeWeights(model, { accuracyLevel: 1, ...options })).model;
};

const MODES: Readonly<Record<string, Mode>> = {
  'MatMulNBits, 8 bits': { convert: blocks({ bits: 8 }), operator: 'MatMulNBits', leastSqnr: 40 },
  'MatMulNBits, 4 bits': { convert: blocks({}), operator: 'MatMulNBits', leastSqnr: 15 },
  'MatMulBnb4, NF4': {
    convert: blocks({ format: 'bnb4', blockSize: 16 }),
    operator: 'MatMulBnb4',
    leastSqnr: 14,
  },
  'DequantizeLinear, 8 bits': {
    convert: blocks({ format: 'dequantize-linear', bits: 8 }),
    operator: 'MatMul',
    leastSqnr: 34,
  },
  'int8 for storage': {
    convert: async (model) => (await storeWeights(model)).model,
    operator: 'MatMul',
    leastSqnr: 34,
  },
  float16: {
    convert: async (model) => (await convertToFloat16(model)).model,
    operator: 'MatMul',
    leastSqnr: 50,
  },
};

describe.each(Object.keys(MODELS))('%s', (body) => {
  it.each(Object.entries(MODES))(
    `%s: all products, at every level`,
    async (_, { convert, operator, leastSqnr }) => {
      const { make, products, feeds } = MODELS[body];
      const model = await convert(make());
      const all = [...model.graph.allNodes()];
      expect(all.filter(({ opType }) => opType === operator)).toHaveLength(products);
      const matrices = all
        .flatMap(({ inputs }) => inputs.flatMap((input) => input?.constant ?? []))
        .filter(({ shape }) => shape.join() === `${K},${K}`);
      expect(matrices.map(({ elementType }) => elementType)).not.toContain('float32');
      for (const feed of feeds) {
        const worst = await worstSqnr(make(), model, feed);
        expect(worst).toBeGreaterThan(leastSqnr);
        expect(worst).toBeLessThan(Infinity);
      }
    },
  );
});

it('int8 for storage: dequantized once in front of a loop, and only in the branch that wants it', async () => {
  const places = async (model: Model): Promise<number[]> => {
    const { graph } = (await storeWeights(model)).model;
    const bodies = [...graph.allNodes()].flatMap(({ subgraphs }) => subgraphs);
    const isDequantize = ({ opType }: { readonly opType: string }): boolean => opType === 'DequantizeLinear';
    return [graph, ...bodies].map(({ nodes }) => nodes.toArray().filter(isDequantize).length);
  };
  // One weight is read outside, too.
  expect(await places(ifModel(true))).toEqual([1, 1, 0]);
  expect(await places(loopModel())).toEqual([2, 0]);
  expect(await places(scanModel())).toEqual([1, 0]);
});
