/** Every way of making another model of one, with the result written: what damaged and hostile files are put through. */
import {
  calibrate,
  clean,
  convert,
  convertToFloat16,
  equalizeLayers,
  MemorySink,
  prepare,
  quantizeDynamic,
  quantizeWeights,
  raiseOpset,
  readModel,
  readyStatic,
  staticQConfigMapping,
  storeWeights,
  toQOperator,
  variants,
  writeModel,
  type ConvertOptions,
  type Model,
  type ModelRunner,
  type Plan,
} from 'zeropoint/onnx';
import { MinMaxObserver } from 'zeropoint';
import { random } from './graphs.ts';

type Mode = (model: Model) => Promise<unknown>;

/** Writes to nowhere: what is written is read and computed. */
async function written({ model }: { readonly model: Model }): Promise<void> {
  await writeModel(model, NOWHERE, { externalData: 'embed' });
}

const NOWHERE = { write: () => undefined, sibling: () => NOWHERE };

/** A plan whose observers have seen some values: what calibration would give, without a runtime. */
function filled(plan: Plan): Plan {
  const activations = Object.entries(plan.activations).map(([name, planned]) => {
    if (planned.range !== undefined) return [name, planned] as const;
    const observer = MinMaxObserver.withArgs({ ...planned.spec.args })();
    observer.observe(random([4]));
    return [name, { ...planned, state: observer.toJSON() }] as const;
  });
  return { ...plan, activations: Object.fromEntries(activations), samples: 1 };
}

const fixed =
  (options: ConvertOptions, mapping = staticQConfigMapping()): Mode =>
  async (model) => {
    const ready = await readyStatic(model, { qconfigMapping: mapping, coverage: 'all' });
    await written(await convert(ready.model, filled(ready.plan), options));
  };

/** A runner that has loaded nothing and gives one value for whatever is asked for. */
const runnerOf = (model: Model): ModelRunner => ({
  name: 'none',
  model,
  inputs: [],
  outputs: [],
  run: (_feeds, { fetch = [] } = {}) =>
    Promise.resolve(Object.fromEntries(fetch.map((name) => [name, random([2, 2])]))),
  dispose: () => Promise.resolve(),
});

/** By name. Each gives nothing, or throws a QuantError. */
export const MODES: Readonly<Record<string, Mode>> = {
  write: (model) => written({ model }),
  clean: async (model) => written(await clean(model)),
  'raise opset': async (model) => written(await raiseOpset(model, 21)),
  equalize: async (model) => written(await equalizeLayers(model)),
  prepare: async (model) => prepare((await clean(model)).model),
  calibrate: async (model) => {
    const { model: ready, plan } = await readyStatic(model);
    await calibrate(plan, runnerOf(ready), [{}, {}]);
  },
  static: fixed({}),
  'static, a pair a reader': fixed({ dedicatedPairs: true, names: 'onnxruntime' }),
  'static, int16 and int4': fixed(
    {},
    staticQConfigMapping({ activationDType: 'int16', weightDType: 'int4' }),
  ),
  QOperator: fixed({ format: 'qoperator' }),
  'to QOperator': async (model) => written(await toQOperator(model)),
  dynamic: async (model) => written(await quantizeDynamic(model)),
  "dynamic, onnxruntime's": async (model) =>
    written(await quantizeDynamic(model, { rules: 'onnxruntime' }, { names: 'onnxruntime' })),
  'matmul-nbits': async (model) => written(await quantizeWeights(model, { blockSize: 16 })),
  bnb4: async (model) => written(await quantizeWeights(model, { format: 'bnb4', blockSize: 16 })),
  'dequantize-linear': async (model) =>
    written(await quantizeWeights(model, { format: 'dequantize-linear', algorithm: 'mse', blockSize: 16 })),
  'stored weights': async (model) => written(await storeWeights(model)),
  float16: async (model) => written(await convertToFloat16(model, { keepIO: false })),
  bfloat16: async (model) => written(await convertToFloat16(model, { dtype: 'bfloat16' })),
  variants: async (model) => {
    const sink = new MemorySink();
    await writeModel(model, sink, { externalData: 'embed' });
    await variants(sink.bytes, { open: () => NOWHERE, dtypes: ['q8', 'q4f16'] });
  },
  'read again': async (model) => {
    const sink = new MemorySink();
    await writeModel(model.clone(), sink);
    await readModel(sink.bytes, { externalData: Object.fromEntries(sink.files) });
  },
};
