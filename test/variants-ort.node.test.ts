/**
 * Preset transformersjs-3 against what onnxruntime's Python quantizers made with the settings of transformers.js' scripts: the
 * same operators, wiring and constants, bit for bit, under the same names. Where it differs, and why:
 *
 * - Behind the last element of a short block (4 bits) there is 0, here the code of 0: whoever reads it adds nothing.
 * - A block whose second half would be padding is halved here: the same codes in fewer bytes.
 * - A value from outside that both branches of an If multiply is quantized in the branches, there once in front of the If: only
 *   one of them runs.
 * - What `clean` finds is not there any more: constants are folded, BatchNormalization goes into Conv, equal weights are stored
 *   once, local functions are put where they are called. The scripts left that to onnxslim, and logged it where that failed.
 * - 8-bit weights of more than two axes stay in float: a scale a column is of matrices.
 * - Where a recipe finds nothing to do, the script saved the float model under the variant's name; here that is done only if
 *   another base file has something to do.
 */
import { describe, expect, it } from 'vitest';
import { MemorySink, readModel, variants, type Model } from 'zeropoint/onnx';
import {
  countOps,
  initializersOf,
  operatorsHere,
  signature,
  VARIANT_CASES,
  variantFile,
  variantModel,
  type StoredTensor,
  type VariantCase,
} from './support/variants.ts';

/** A model type for which convert.py had by-channel scales; none, as quantize.py on its own. */
const MODEL_TYPES = { convert: { modelType: 'bert' }, quantize: {} } as const;

async function made({ model, dtype, recipe = 'quantize' }: VariantCase): Promise<Model> {
  const files = new Map<string, Uint8Array>();
  const { variants: written } = await variants(variantFile(model), {
    preset: 'transformersjs-3',
    dtypes: [dtype],
    open: (file) => new MemorySink(file, files),
    ...MODEL_TYPES[recipe],
  });
  const bytes = files.get(written[0].file);
  if (bytes === undefined) throw new Error(`expected ${written[0].file}, got nothing`);
  return readModel(bytes);
}

/** Codes of MatMulNBits by column, [N, blocks, bytes], without what lies behind the `k` elements of each. */
function unpadded({ dtype, shape, data }: StoredTensor, k: number): StoredTensor {
  const [n, blocks, blob] = shape;
  const columns = Buffer.from(data, 'base64');
  const kept = Array.from({ length: n }, (_, i) => columns.subarray(i * blocks * blob).subarray(0, k / 2));
  return { dtype, shape: [n, k / 2], data: Buffer.concat(kept).toString('base64') };
}

/** How many elements each column of the 4-bit weights has, by name of the codes. */
async function columnLengths({ model }: VariantCase): Promise<ReadonlyMap<string, number>> {
  const { graph } = await variantModel(model);
  const products = [...graph.allNodes()].filter((node) => node.is('MatMul'));
  return new Map(
    products.flatMap(({ inputs: [, weight] }) =>
      weight?.constant === undefined ? [] : [[`${weight.name}_Q4`, weight.constant.shape[0]]],
    ),
  );
}

const isIdle = ({ ops, dtype }: VariantCase): boolean =>
  (dtype === 'q4' && !('MatMulNBits' in ops)) || (dtype === 'bnb4' && !('MatMulBnb4' in ops));

const rows = VARIANT_CASES.filter((row) => !isIdle(row));
const BLOCK = 32;

describe.each(rows)('$model, $dtype $recipe', (row) => {
  it('same operators, constants and wiring', async () => {
    const model = await made(row);
    expect(countOps(model)).toEqual(operatorsHere(row));
    const ours = await initializersOf(model);
    const lengths = await columnLengths(row);
    expect(Object.keys(ours).toSorted()).toEqual(Object.keys(row.initializers).toSorted());
    let isPadded = false;
    for (const [name, theirs] of Object.entries(row.initializers)) {
      const k = lengths.get(name) ?? BLOCK;
      if (k % BLOCK === 0) expect(ours[name], name).toEqual(theirs);
      else expect(unpadded(ours[name], k), name).toEqual(unpadded(theirs, k));
      isPadded ||= k % BLOCK !== 0;
    }
    if (!isPadded) expect(await signature(model)).toBe(row.signature);
  });
});

it.each(VARIANT_CASES.filter(isIdle))('$model, $dtype: nothing to do', async (row) => {
  await expect(made(row)).rejects.toThrow('expected something to do for a dtype, got nothing');
  expect(countOps(await variantModel(row.model))).toEqual(row.ops);
});
