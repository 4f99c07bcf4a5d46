/**
 * What the presets for a destination are decided by: each choice beside its alternative, on the same samples and the
 * same runtime. Error of the first output against float, and the least of some timed runs, one thread.
 * Run after a build: `npx tsx --tsconfig tsconfig.run.json bench/presets.ts MODEL.onnx [SAMPLES.npz]`; without samples
 * the inputs are seeded noise, ids below 1000, masks of ones. `--token` instead of a model: eight products with one token of
 * 1024 features, which is what a decoder does to write.
 */
import { tensor, type Tensor, QConfigMapping } from 'zeropoint';
import {
  buildModel,
  compareOutputs,
  convertToFloat16,
  measureLatency,
  MemorySink,
  onnxQConfig,
  openCalibrationData,
  inputValues,
  ortNode,
  ortWeb,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  storeWeights,
  staticQConfigMapping,
  writeModel,
  type Feeds,
  type Model,
} from 'zeropoint/onnx';

const [path, samples] = process.argv.slice(2);
if (path === undefined) {
  console.error('presets: expected a model, or --token');
  process.exit(2);
}
const BATCHES = 16;
const ROUNDS = 30;
const FREE_AXIS = 128;

const model = path === '--token' ? products() : await readModel(path);
const batches = samples === undefined ? noise(model) : await read(model, samples);

/** Gather: tables are stored as codes whatever else is done. */
const PRODUCTS = ['MatMul', 'Gemm', 'Gather'];

/** Ways to quantize, by what they are called in the table. */
const WAYS: Readonly<Record<string, () => Promise<{ readonly model: Model }>>> = {
  'static, all': () => staticBy(staticQConfigMapping()),
  'static, MatMul, Gemm, Gather': () => staticBy(only(PRODUCTS)),
  'static, depthwise Conv in float': () => staticBy(withoutDepthwise(model)),
  dynamic: () => quantizeDynamic(model),
  'int8 for storage': () => storeWeights(model),
  'weights, 4 bits': () => quantizeWeights(model),
  float16: () => convertToFloat16(model),
};

function staticBy(qconfigMapping: QConfigMapping): Promise<{ readonly model: Model }> {
  return quantizeStatic(model, { batches, qconfigMapping, runner: (ready) => ortNode(ready) });
}

function only(opTypes: readonly string[]): QConfigMapping {
  const mapping = new QConfigMapping();
  for (const opType of opTypes) mapping.setObjectType(opType, onnxQConfig());
  return mapping;
}

function withoutDepthwise({ graph }: Model): QConfigMapping {
  const mapping = staticQConfigMapping();
  const convs = [...graph.nodes].filter((node) => node.is('Conv'));
  for (const [index, node] of convs.entries()) {
    if (node.int('group', 1) > 1 && node.inputs[1]?.dims?.[1] === 1) {
      mapping.setModuleNameObjectTypeOrder('', 'Conv', index, null);
    }
  }
  return mapping;
}

function products(): Model {
  const features = 1024;
  let state = 2;
  const weight = (): Tensor =>
    tensor(
      Float32Array.from({ length: features * features }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (state / 2 ** 31 - 1) / 16;
      }),
      [features, features],
    );
  return buildModel((b) => {
    let x = b.input('x', 'float32', [1, features]);
    for (let i = 0; i < 8; i++) x = b.op('Relu', [b.op('MatMul', [x, b.constant(`w${i}`, weight())])]);
    b.output(x, 'y', 'float32');
  });
}

async function read(of: Model, file: string): Promise<readonly Feeds[]> {
  const data = await openCalibrationData(file, inputValues(of), { samples: BATCHES, batchSize: 1 });
  const all: Feeds[] = [];
  for await (const feeds of data.batches()) all.push(feeds);
  return all;
}

function noise(of: Model): readonly Feeds[] {
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const fill = (name: string, dtype: string, shape: readonly number[]): Tensor => {
    const count = shape.reduce((product, size) => product * size, 1);
    if (dtype === 'float32')
      return tensor(
        Float32Array.from({ length: count }, () => random() * 2 - 1),
        shape,
      );
    const id = (): bigint => (name.includes('mask') ? 1n : BigInt(Math.floor(random() * 1000)));
    return tensor(BigInt64Array.from({ length: count }, id), shape);
  };
  return Array.from({ length: BATCHES }, () =>
    Object.fromEntries(
      inputValues(of).map(({ name, dtype, shape = [] }) => [
        name,
        fill(
          name,
          dtype,
          shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : FREE_AXIS)),
        ),
      ]),
    ),
  );
}

async function bytesOf(of: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(of, sink);
  return sink.bytes;
}

const original = await bytesOf(model);
const options = { optimization: 'all', threads: 1 } as const;
const files: [name: string, bytes: Uint8Array][] = [['float32', original]];
for (const [name, quantize] of Object.entries(WAYS)) {
  const done = await quantize().catch((error: unknown) => error);
  if (done instanceof Error) console.log(`${name}: ${done.message}`);
  else files.push([name, await bytesOf((done as { readonly model: Model }).model)]);
}
console.log('| way | size | SQNR | node, ms | wasm, ms |\n|---|--:|--:|--:|--:|');
const node = await Promise.all(files.map(([, bytes]) => ortNode(bytes, options)));
const web = await Promise.all(files.map(([, bytes]) => ortWeb(bytes, options)));
const nodeTimes = await measureLatency(node, batches[0], { rounds: ROUNDS });
const webTimes = await measureLatency(web, batches[0], { rounds: ROUNDS });
for (const [i, [name, bytes]] of files.entries()) {
  const { outputs } = await compareOutputs(node[0], node[i], batches);
  const sqnr = i === 0 ? '' : `${outputs[0].sqnr?.toFixed(1)} dB`;
  const size = `${((100 * bytes.length) / original.length).toFixed(1)} %`;
  console.log(
    `| ${name} | ${size} | ${sqnr} | ${nodeTimes[i].min.toFixed(2)} | ${webTimes[i].min.toFixed(2)} |`,
  );
}
process.exit(0);
