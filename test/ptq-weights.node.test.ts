/** Weight-only quantization: every form, run by onnxruntime at every level against float with the same weights. */
import { describe, expect, it } from 'vitest';
import { QConfigMapping, sqnr, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  onnxQConfig,
  ortNode,
  ortWeb,
  quantizeWeights,
  readModel,
  type Graph,
  type GraphBuilder,
  type GraphOptimization,
  type Model,
  type QuantizeWeightsOptions,
  type Value,
} from 'zeropoint/onnx';
import { decodedWeights } from './support/weight-blocks.ts';
import { zooInput, zooModel } from './support/zoo.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';

/** Signal to noise against float with the same weights, in dB: only the order of additions differs. */
const SAME_WEIGHTS = 110;
/** The same where the runtime rounds activations to int8 by blocks (accuracy level 4). */
const INT8_ACTIVATIONS = 38;
/** Least signal to noise against the original float weights, uniform data, by bits. */
const LEAST: Readonly<Record<number, number>> = { 2: 8, 4: 22, 8: 44 };
const K = 100;
const N = 24;

type Values = Readonly<Record<string, Tensor>>;

async function run(bytes: Uint8Array, feeds: Values, optimization: GraphOptimization): Promise<Values> {
  const runner = await ortNode(await readModel(bytes), { optimization });
  const outputs = await runner.run(feeds);
  await runner.dispose();
  return outputs;
}

async function worst(expected: Values, model: Model, feeds: Values): Promise<number> {
  const bytes = await bytesOf(model);
  let least = Infinity;
  for (const level of LEVELS) {
    const outputs = await run(bytes, feeds, level);
    for (const [name, value] of Object.entries(expected)) least = Math.min(least, sqnr(value, outputs[name]));
  }
  return least;
}

type Build = (b: GraphBuilder, x: Value, weight: Tensor) => Value;

/** Each reads a weight that is [K, N] in the end. */
const PRODUCTS: Readonly<Record<string, Build>> = {
  MatMul: (b, x, w) => b.op('MatMul', [x, b.constant('w', w)]),
  'MatMul with leading axes': (b, x, w) =>
    b.op('MatMul', [
      b.op('Unsqueeze', [x, b.constant('axes', tensor(BigInt64Array.of(0n)))], {}, 'x3'),
      b.constant('w', tensor(w.data, [1, K, N])),
    ]),
  'MatMul of a Constant node': (b, x, w) => b.op('MatMul', [x, b.op('Constant', [], { value: w })]),
  'MatMul of a Transpose': (b, x, w) =>
    b.op('MatMul', [x, b.op('Transpose', [b.constant('w', transposed(w))], { perm: [1, 0] })]),
  Gemm: (b, x, w) => b.op('Gemm', [x, b.constant('w', w), b.constant('bias', random([N], 5))]),
  'Gemm without bias': (b, x, w) => b.op('Gemm', [x, b.constant('w', w)]),
  'Gemm with transB': (b, x, w) =>
    b.op('Gemm', [x, b.constant('w', transposed(w)), b.constant('bias', random([N], 5))], { transB: 1 }),
  Einsum: (b, x, w) => b.op('Einsum', [x, b.constant('w', w)], { equation: 'mk,kn->mn' }),
  'Einsum of rows': (b, x, w) =>
    b.op('Einsum', [x, b.constant('w', transposed(w))], { equation: '...k, nk -> ...n' }),
  FusedMatMul: (b, x, w) => b.op('com.microsoft.FusedMatMul', [x, b.constant('w', w)]),
  'FusedMatMul with transB': (b, x, w) =>
    b.op('com.microsoft.FusedMatMul', [x, b.constant('w', transposed(w))], { transB: 1 }),
};

function transposed(w: Tensor): Tensor {
  const [rows, cols] = w.shape;
  const data = Float32Array.from({ length: rows * cols }, (_, i) =>
    Number(w.data[(i % rows) * cols + Math.floor(i / rows)]),
  );
  return tensor(data, [cols, rows]);
}

function modelOf(build: Build, weight: Tensor, opset?: number): Model {
  return buildModel(
    (b) => {
      const x = b.input('x', 'float32', ['M', K]);
      const y = build(b, x, weight);
      // MatMul gives three axes only where it can be told that it does.
      for (const value of b.graph.values) {
        if (value.name === 'x3') value.type = { kind: 'tensor', elementType: 'float32', dims: [1, 'M', K] };
      }
      b.output(y, 'y', 'float32');
    },
    { opset },
  );
}

const FORMS: Readonly<Record<string, QuantizeWeightsOptions>> = {
  'MatMulNBits, 2 bits': { bits: 2 },
  'MatMulNBits, 2 bits, symmetric, block 16': { bits: 2, symmetric: true, blockSize: 16 },
  'MatMulNBits, 4 bits': {},
  'MatMulNBits, 4 bits, symmetric': { symmetric: true },
  'MatMulNBits, 4 bits, block 128': { blockSize: 128 },
  'MatMulNBits, 8 bits': { bits: 8 },
  'MatMulNBits, 8 bits, symmetric, block 16': { bits: 8, symmetric: true, blockSize: 16 },
  'MatMulBnb4, NF4': { format: 'bnb4' },
  'MatMulBnb4, FP4, block 16': { format: 'bnb4', bnb4Type: 'fp4', blockSize: 16 },
  'DequantizeLinear, uint4': { format: 'dequantize-linear' },
  'DequantizeLinear, int4': { format: 'dequantize-linear', symmetric: true },
  'DequantizeLinear, uint8': { format: 'dequantize-linear', bits: 8 },
  'DequantizeLinear, int8': { format: 'dequantize-linear', bits: 8, symmetric: true },
};

describe.each(Object.entries(FORMS))('%s', (_, options) => {
  it.each(Object.keys(PRODUCTS))(
    `%s: SQNR ≥ ${SAME_WEIGHTS} dB of float with the same weights, ≥ ${INT8_ACTIVATIONS} dB at accuracy level 4`,
    async (name) => {
      const build = PRODUCTS[name];
      const float = modelOf(build, random([K, N], 2));
      const feeds = { x: random([7, K], 9) };
      const { model, report } = await quantizeWeights(float, { ...options, accuracyLevel: 1 });
      const [weight] = await decodedWeights(model);
      const same = modelOf(build, tensor(weight, [K, N]));
      const expected = await run(await bytesOf(same), feeds, 'disabled');
      // onnxruntime makes MatMulNBits of level 4 from DequantizeLinear, whatever the file says.
      const fused = options.format === 'dequantize-linear';
      expect(await worst(expected, model, feeds)).toBeGreaterThan(fused ? INT8_ACTIVATIONS : SAME_WEIGHTS);
      const four = await quantizeWeights(float, { ...options, accuracyLevel: 4 });
      expect(await worst(expected, four.model, feeds)).toBeGreaterThan(INT8_ACTIVATIONS);
      const original = await run(await bytesOf(float), feeds, 'disabled');
      const bits = options.format === 'bnb4' ? 2 : (options.bits ?? 4);
      expect(sqnr(original.y, expected.y)).toBeGreaterThan(LEAST[bits]);
      expect(report).toMatchObject({ mode: 'weight-only', weights: [{ elements: K * N }] });
      expect(
        [...model.graph.initializers].some((value) => value.elementType === 'float32' && value.name === 'w'),
      ).toBe(false);
    },
  );
});

const GATHERS: Readonly<Record<string, QuantizeWeightsOptions>> = {
  'GatherBlockQuantized, 8 bits': {},
  'GatherBlockQuantized, 4 bits': { embeddings: 4 },
  'GatherBlockQuantized, 4 bits, symmetric': { embeddings: 4, symmetric: true },
  'GatherBlockQuantized, 8 bits, symmetric, block 64': { symmetric: true, blockSize: 64 },
  'Gather and DequantizeLinear, uint8': { format: 'dequantize-linear' },
  'Gather and DequantizeLinear, int8': { format: 'dequantize-linear', symmetric: true },
};

describe('embeddings by rows', () => {
  const rows = { embeddingForm: 'rows' } as const;
  const table = random([40, 33], 8);
  const net = (): Model =>
    buildModel((b) => {
      const ids = b.input('ids', 'int64', ['N', 2]);
      b.output(b.op('Gather', [b.constant('table', table), ids]), 'y', 'float32');
    });
  const feeds = { ids: tensor(BigInt64Array.of(3n, 17n, 39n, 0n), [2, 2]) };

  it.each([{}, { format: 'bnb4' }, { format: 'dequantize-linear' }, { algorithm: 'mse' }] as const)(
    '%o: within half a step of each row, in operators of opset 10, at every level',
    async (options) => {
      const { model, report } = await quantizeWeights(net(), { ...options, ...rows });
      expect(
        model.graph.nodes
          .toArray()
          .map(({ opType }) => opType)
          .toSorted(),
      ).toEqual(['DequantizeLinear', 'Gather', 'Gather', 'Mul']);
      expect(report.weights).toMatchObject([
        { name: 'table', dtype: 'uint8', scales: 40, elements: 40 * 33 },
      ]);
      for (const optimization of LEVELS) {
        const runner = await ortNode(model, { optimization });
        const { y } = await runner.run(feeds);
        await runner.dispose();
        expect(y.shape).toEqual([2, 2, 33]);
        for (const [i, id] of [3, 17, 39, 0].entries()) {
          const row = (table.data as Float32Array).subarray(id * 33, (id + 1) * 33);
          const step = Math.max(...row.map(Math.abs)) / 128;
          const got = (y.data as Float32Array).subarray(i * 33, (i + 1) * 33);
          // A whole step where the extreme of the other sign has no code of its own.
          const allowed = row.map((w) => (Math.abs(w) > 127 * step ? 1.01 : 0.501) * step);
          expect(row.every((w, k) => Math.abs(w - got[k]) <= allowed[k])).toBe(true);
        }
      }
    },
  );

  it('have 8 bits, or none', async () => {
    const expected = /expected embeddings one of false, 8 with embeddingForm 'rows', got 4$/;
    await expect(quantizeWeights(net(), { ...rows, embeddings: 4 })).rejects.toThrow(expected);
    const overrides = [{ nodes: /./, bits: 4 }] as const;
    await expect(quantizeWeights(net(), { ...rows, overrides })).rejects.toThrow(/bits of .* one of 8/);
  });
});

describe('embeddings', () => {
  /** 100 columns: a short last block. 96: three blocks, whose 4-bit zero points do not fill their bytes. */
  const embedding = (cols = 100): Model =>
    buildModel((b) => {
      const ids = b.input('ids', 'int64', ['M', 'T']);
      b.output(b.op('Gather', [b.constant('table', random([40, cols], 3)), ids]), 'y', 'float32');
    });
  const feeds = { ids: tensor(BigInt64Array.from([0n, 39n, -2n, 17n]), [2, 2]) };

  it.each(Object.entries(GATHERS))(
    '%s: SQNR ≥ 22 dB (4 bits) or 44 dB (8 bits) at every level',
    async (_, options) => {
      for (const cols of [100, 96]) {
        const float = embedding(cols);
        const { model, report } = await quantizeWeights(float, options);
        const expected = await run(await bytesOf(float), feeds, 'disabled');
        const least = await worst(expected, model, feeds);
        expect(least).toBeGreaterThan(LEAST[options.embeddings || 8]);
        expect(least).toBeLessThan(Infinity);
        expect(report.quantized).toEqual([{ node: 'gather', opType: 'Gather' }]);
      }
    },
  );

  it('always have zero points, whether symmetric or not', async () => {
    for (const symmetric of [true, false]) {
      const { model } = await quantizeWeights(embedding(), { symmetric });
      const [node] = model.graph.nodes;
      expect(node.qualifiedOp).toBe('com.microsoft.GatherBlockQuantized');
      expect(node.inputs[3]?.elementType).toBe('uint8');
    }
  });

  it('stay in float if told so, or where rows do not end at a byte', async () => {
    const both = (cols: number): Model =>
      buildModel((b) => {
        const x = b.input('x', 'float32', ['M', K]);
        const ids = b.input('ids', 'int64', ['M']);
        b.output(b.op('MatMul', [x, b.constant('w', random([K, N]))]), 'y');
        b.output(b.op('Gather', [b.constant('table', random([40, cols])), ids]), 'e');
      });
    const off = await quantizeWeights(both(K), { embeddings: false });
    expect(off.report.skipped.map(({ reason }) => reason)).toEqual(['embeddings are to stay in float']);
    const odd = await quantizeWeights(both(33), { embeddings: 4 });
    expect(odd.report.skipped.map(({ reason }) => reason)).toEqual([
      'its rows of 33 do not end at a byte with 4 bits',
    ]);
  });
});

const types = (model: Model): string[] => [...model.graph.allNodes()].map((node) => node.opType);
const matMul = (): Model => modelOf(PRODUCTS.MatMul, random([K, N], 2));

describe('quantizeWeights', () => {
  it('stores a weight once that several nodes read, in two graphs too', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', K]);
      const w = b.constant('w', random([K, N], 2));
      const branch = (name: string, seed: number): Graph =>
        b.body(name, (inner) => {
          const product = inner.op('MatMul', [x, w]);
          inner.output(
            inner.op('Add', [product, inner.constant(`${name}_b`, random([N], seed))]),
            `${name}_y`,
          );
        });
      const condition = b.input('condition', 'bool', []);
      const attributes = {
        then_branch: { kind: 'graph', value: branch('then', 3) },
        else_branch: { kind: 'graph', value: branch('else', 4) },
      } as const;
      b.output(b.op('If', [condition], attributes), 'y', 'float32');
      b.output(b.op('MatMul', [x, w]), 'z', 'float32');
    });
    const feeds = { x: random([3, K], 9), condition: tensor(Uint8Array.of(1), [], 'bool') };
    const expected = await run(await bytesOf(model), feeds, 'disabled');
    for (const format of ['matmul-nbits', 'dequantize-linear'] as const) {
      const { model: small, report } = await quantizeWeights(model, { format });
      expect(report.weights).toHaveLength(1);
      expect(report.quantized).toHaveLength(3);
      expect(await worst(expected, small, feeds)).toBeGreaterThan(LEAST[4]);
      expect(small.graph.value('w')).toBeUndefined();
    }
  });

  it.each(['matmul-nbits', 'bnb4', 'dequantize-linear'] as const)(
    '%s: a weight that is read as it lies and turned is stored along both axes',
    async (format) => {
      for (const wide of [K, N]) {
        const model = buildModel((b) => {
          const x = b.input('x', 'float32', ['M', K]);
          const w = b.constant('w', random([K, wide], 2));
          const hidden = b.op('Relu', [b.op('MatMul', [x, w])]);
          b.output(b.op('Gemm', [hidden, w], { transB: 1 }), 'y', 'float32');
        });
        const feeds = { x: random([3, K], 9) };
        const expected = await run(await bytesOf(model), feeds, 'disabled');
        const { model: small, report } = await quantizeWeights(model, { format });
        expect(report.weights).toHaveLength(2);
        expect(await worst(expected, small, feeds)).toBeGreaterThan(15);
      }
    },
  );

  it('leaves an 8-bit product in float whose input comes from a DequantizeLinear', async () => {
    const model = buildModel((b) => {
      const scale = b.constant('s', tensor(Float32Array.of(0.01), []));
      const zeroPoint = b.constant('z', tensor(Uint8Array.of(3), [], 'uint8'));
      const x = b.op('DequantizeLinear', [b.input('x', 'uint8', ['M', K]), scale, zeroPoint]);
      b.output(b.op('MatMul', [x, b.constant('w', random([K, N], 2))]), 'y', 'float32');
    });
    const settings = { format: 'dequantize-linear', symmetric: true } as const;
    await expect(quantizeWeights(model, { ...settings, bits: 8 }, { allowQuantized: true })).rejects.toThrow(
      /passes over the blocks/,
    );
    const { report } = await quantizeWeights(model, settings, { allowQuantized: true });
    expect(report.quantized).toHaveLength(1);
  });

  it('quantizes weights that lie in bodies of If, as initializers and as Constant nodes', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', K]);
      const condition = b.input('condition', 'bool', []);
      const body = (name: string, weight: (inner: GraphBuilder) => Value): Graph =>
        b.body(name, (inner) => inner.output(inner.op('MatMul', [x, weight(inner)]), `${name}_y`, 'float32'));
      const attributes = {
        then_branch: {
          kind: 'graph',
          value: body('then', (inner) => inner.constant('w', random([K, N], 2))),
        },
        else_branch: {
          kind: 'graph',
          value: body('else', (inner) => inner.op('Constant', [], { value: random([K, N], 4) })),
        },
      } as const;
      b.output(b.op('If', [condition], attributes), 'y', 'float32');
    });
    const { model: small } = await quantizeWeights(model);
    expect(types(small)).toEqual(['If', 'MatMulNBits', 'MatMulNBits']);
    expect((await bytesOf(small)).length).toBeLessThan((await bytesOf(model)).length / 4);
    for (const flag of [0, 1]) {
      const feeds = { x: random([3, K], 9), condition: tensor(Uint8Array.of(flag), [], 'bool') };
      const expected = await run(await bytesOf(model), feeds, 'disabled');
      expect(await worst(expected, small, feeds)).toBeGreaterThan(LEAST[4]);
    }
  });

  it('quantizes a table that an embedding and, transposed, an output layer share', async () => {
    const model = buildModel((b) => {
      const table = b.constant('table', random([40, K], 3));
      const rows = b.op('Gather', [table, b.input('ids', 'int64', ['T'])]);
      b.output(b.op('MatMul', [rows, b.op('Transpose', [table])]), 'y', 'float32');
    });
    const { model: small } = await quantizeWeights(model);
    expect(types(small)).toEqual(['GatherBlockQuantized', 'MatMulNBits']);
    const feeds = { ids: tensor(BigInt64Array.from([1n, 39n]), [2]) };
    const expected = await run(await bytesOf(model), feeds, 'disabled');
    expect(await worst(expected, small, feeds)).toBeGreaterThan(LEAST[4]);
    expect(small.graph.value('table')).toBeUndefined();
  });

  it('leaves in float, with the reason', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [K, K]);
      const w = b.constant('w', random([K, N]));
      b.output(b.op('MatMul', [x, x], {}, 'a'));
      b.output(b.op('MatMul', [x, b.constant('stack', random([2, K, 3]))], {}, 'b'));
      b.output(b.op('MatMul', [x, b.constant('leading', random([1, K, N]))], {}, 'c'));
      b.output(b.op('Gemm', [x, w], { transA: 1 }, 'd'));
      b.output(b.op('Gemm', [x, w], { alpha: { kind: 'float', value: 2 } }, 'e'));
      const bias = b.constant('bias', random([N]));
      b.output(b.op('Gemm', [x, w, bias], { beta: { kind: 'float', value: 2 } }, 'f'));
      b.output(b.op('MatMul', [b.op('Slice', []), b.constant('thin', random([3, N]))], {}, 'g'));
      b.output(b.op('Gather', [x, b.input('ids', 'int64', [2])], {}, 'h'));
      b.output(b.op('Relu', [x], {}, 'i'));
      b.output(b.op('MatMul', [x, w], {}, 'j'));
      b.output(b.op('Einsum', [x, w], { equation: 'ij,jk->ki' }, 'k'));
      b.output(b.op('com.microsoft.FusedMatMul', [x, w], { alpha: { kind: 'float', value: 2 } }, 'l'));
      b.output(b.op('com.microsoft.FusedMatMul', [x, w], { transA: 1 }, 'm'));
    });
    const { report } = await quantizeWeights(model);
    expect(report.quantized).toHaveLength(1);
    expect(report.skipped.map(({ reason }) => reason)).toEqual([
      'its second operand is computed',
      'its weight is a stack of matrices, [2, 100, 3]',
      'its weight has 3 axes, and its first operand 2',
      'it transposes its first operand',
      'it scales its product (alpha)',
      'it scales its bias (beta)',
      'Slice has no weight-only form here',
      'its blocks would be larger than its floats',
      'its table is computed',
      'Relu has no weight-only form here',
      'its equation is no product with a matrix',
      'it scales its product (alpha)',
      'it transposes an operand (transA)',
    ]);
  });

  it('counts the nodes of a type in every scope, for the fifth level of a QConfigMapping', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', K]);
      for (const name of ['/a/q', '/a/k', '/b/q', '/b/k']) {
        b.output(b.op('MatMul', [x, b.constant(`${name}_w`, random([K, N]))]), name, 'float32');
      }
    });
    for (const node of model.graph.nodes) node.name = node.outputs[0]?.name ?? '';
    const qconfigMapping = new QConfigMapping()
      .setGlobal(onnxQConfig())
      .setModuleNameObjectTypeOrder('/b', 'MatMul', 1, null);
    const { report } = await quantizeWeights(model, { qconfigMapping });
    expect(report.skipped.map(({ node }) => node)).toEqual(['/b/k']);
  });

  it('leaves float16 weights, and nodes for which the QConfigMapping has null', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', K]);
      b.output(b.op('MatMul', [x, b.constant('w', random([K, N]))]), 'y');
      b.output(b.op('MatMul', [x, b.constant('v', random([K, N]))]), 'z');
      const half = b.input('half', 'float16', ['M', K]);
      b.output(
        b.op('MatMul', [half, b.constant('h', tensor(new Uint16Array(K * N), [K, N], 'float16'))]),
        'q',
      );
    });
    const qconfigMapping = new QConfigMapping().setGlobal(onnxQConfig()).setModuleName('matmul', null);
    const { report } = await quantizeWeights(model, { qconfigMapping });
    expect(report.quantized).toEqual([{ node: 'matmul_1', opType: 'MatMul' }]);
    expect(report.skipped.map(({ reason }) => reason)).toEqual([
      'the QConfigMapping leaves it in float',
      'its weight is float16, not float32',
    ]);
  });

  it('gives nodes other settings by name or pattern, and refuses an override that names none', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', K]);
      for (const name of ['a', 'b', 'c'])
        b.output(b.op('MatMul', [x, b.constant(name, random([K, N]))]), `y${name}`);
    });
    const overrides = [
      { nodes: 'matmul_1', bits: 8, symmetric: true } as const,
      { nodes: /_2$/, blockSize: 16 },
    ];
    const { report } = await quantizeWeights(model, { overrides });
    expect(report.weights.map(({ dtype, blockSize }) => [dtype, blockSize])).toEqual([
      ['uint4', 32],
      ['int8', 32],
      ['uint4', 16],
    ]);
    await expect(quantizeWeights(model, { overrides: [{ nodes: 'matmul_7', bits: 8 }] })).rejects.toThrow(
      /expected overrides to name nodes with a weight, got matmul_7/,
    );
  });

  it('halves blocks whose second half would be padding only', async () => {
    for (const format of ['matmul-nbits', 'dequantize-linear'] as const) {
      const { model, report } = await quantizeWeights(matMul(), { format, blockSize: 256 });
      expect(report.weights).toMatchObject([{ blockSize: 128, scales: N }]);
      expect([...model.graph.nodes][0].int('block_size', 0)).toBe(128);
    }
  });

  it('writes accuracy_level unless it is 0, and imports com.microsoft only where it is used', async () => {
    const level = async (options: QuantizeWeightsOptions): Promise<number> => {
      const { model } = await quantizeWeights(matMul(), options);
      expect(model.opsetImports.get('com.microsoft')).toBe(1);
      return [...model.graph.nodes][0].int('accuracy_level', -1);
    };
    expect(await level({})).toBe(4);
    expect(await level({ accuracyLevel: 1 })).toBe(1);
    expect(await level({ accuracyLevel: 0 })).toBe(-1);
    const { model } = await quantizeWeights(matMul(), { format: 'dequantize-linear' });
    expect(model.opsetImports.has('com.microsoft')).toBe(false);
  });

  it('names what it adds as onnxruntime does, if told so', async () => {
    const { model } = await quantizeWeights(matMul(), {}, { names: 'onnxruntime' });
    expect([...model.graph.initializers].map(({ name }) => name)).toEqual([
      'w_Q4',
      'w_scales',
      'w_zero_points',
    ]);
  });

  it('does not change the model, and refuses its own result', async () => {
    const float = matMul();
    const { model } = await quantizeWeights(float);
    expect(types(float)).toEqual(['MatMul']);
    for (const options of [{}, { format: 'bnb4' }] as const) {
      const { model: once } = await quantizeWeights(float, options);
      await expect(quantizeWeights(once)).rejects.toMatchObject({ code: 'GRAPH_NOT_QUANTIZABLE' });
    }
    expect(types(model)).toEqual(['MatMulNBits']);
  });

  it('takes old files that list initializers among their inputs', async () => {
    const float = modelOf(PRODUCTS.MatMul, random([K, N], 2), 8);
    float.irVersion = 3;
    float.graph.addInput('w');
    const { model } = await quantizeWeights(float);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(model.graph.value('w')).toBeUndefined();
    const feeds = { x: random([3, K], 9) };
    const expected = await run(await bytesOf(matMul()), feeds, 'disabled');
    expect(await worst(expected, model, feeds)).toBeGreaterThan(LEAST[4]);
  });

  it.each([
    ['NaN', Number.NaN],
    ['an infinity', -Infinity],
  ])('refuses a weight with %s, by name', async (text, bad) => {
    const weight = random([K, N]);
    weight.data[77] = bad;
    for (const format of ['matmul-nbits', 'bnb4', 'dequantize-linear'] as const) {
      const job = quantizeWeights(modelOf(PRODUCTS.MatMul, weight), { format });
      await expect(job).rejects.toThrow(`w: expected finite weights, got ${text}`);
    }
  });

  it.each<[string, QuantizeWeightsOptions]>([
    ['blockSize', { blockSize: 48 }],
    ['blockSize', { blockSize: 8 }],
    ['bits', { bits: 3 as never }],
    ['bits', { format: 'bnb4', bits: 8 }],
    ['bits', { format: 'dequantize-linear', bits: 2 }],
    ['embeddings', { format: 'dequantize-linear', embeddings: 4 }],
    ['accuracyLevel', { accuracyLevel: 5 as never }],
    ['format', { format: 'q4' as never }],
    ['bnb4Type', { bnb4Type: 'nf5' as never }],
    ['overrides\\[0\\].bits', { overrides: [{ nodes: 'matmul', bits: 5 as never }] }],
  ])('refuses %s with a RangeError: %j', async (option, options) => {
    await expect(quantizeWeights(matMul(), options)).rejects.toThrow(RangeError);
    await expect(quantizeWeights(matMul(), options)).rejects.toThrow(new RegExp(`expected .*${option}`));
  });

  it('refuses an option that does not exist', async () => {
    const typo = { blocksize: 64 } as QuantizeWeightsOptions;
    await expect(quantizeWeights(matMul(), typo)).rejects.toThrow(
      /expected options .*, got unknown option 'blocksize': did you mean 'blockSize'/,
    );
  });

  it('says an old model in opset 21 where DequantizeLinear needs it, and reports that', async () => {
    const old = modelOf(PRODUCTS.Gemm, random([K, N], 2), 11);
    const { model, report } = await quantizeWeights(old, { format: 'dequantize-linear' });
    expect(report.raisedOpset).toEqual({ from: 11, to: 21 });
    expect([old.opset, model.opset]).toEqual([11, 21]);
    const feeds = { x: random([3, K], 9) };
    const expected = await run(await bytesOf(old), feeds, 'disabled');
    expect(await worst(expected, model, feeds)).toBeGreaterThan(LEAST[4]);
    expect((await quantizeWeights(old)).report.raisedOpset).toBeUndefined();
  });

  it('refuses a model without weights', async () => {
    const relu = modelOf((b, x) => b.op('Relu', [x]), random([1, 1]));
    await expect(quantizeWeights(relu)).rejects.toThrow(
      /got none. Relu: Relu has no weight-only form here \(1\)/,
    );
  });

  it('reports progress by weights, and stops when told', async () => {
    const seen: unknown[] = [];
    await quantizeWeights(matMul(), {}, { onProgress: (progress) => seen.push(progress) });
    expect(seen).toEqual([{ stage: 'convert', done: 1, total: 1, unit: 'weights' }]);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(quantizeWeights(matMul(), {}, { signal })).rejects.toThrow('enough');
  });

  it(`runs in onnxruntime-web too, every form: SQNR of the native result ≥ ${INT8_ACTIVATIONS} dB`, async () => {
    const float = buildModel((b) => {
      const rows = b.op('Gather', [b.constant('table', random([40, K], 3)), b.input('ids', 'int64', ['T'])]);
      b.output(
        b.op('Gemm', [rows, b.constant('w', random([K, N], 2)), b.constant('c', random([N], 5))]),
        'y',
        'float32',
      );
    });
    const feeds = { ids: tensor(BigInt64Array.from([1n, 39n, 5n]), [3]) };
    for (const options of Object.values(FORMS)) {
      const bytes = await bytesOf((await quantizeWeights(float, options)).model);
      const runner = await ortWeb(bytes, { optimization: 'all' });
      const { y } = await runner.run(feeds);
      await runner.dispose();
      expect(sqnr((await run(bytes, feeds, 'disabled')).y, y)).toBeGreaterThan(INT8_ACTIVATIONS);
    }
  });

  it('digits_mlp: size below 25 %, at most 1 of 32 digits read differently', async () => {
    const float = await zooModel('digits_mlp');
    const { model } = await quantizeWeights(float);
    const [small, large] = [(await bytesOf(model)).length, (await bytesOf(float)).length];
    expect(small / large).toBeLessThan(0.25);
    const feeds = { input: zooInput('digits_mlp') };
    const [a, b] = await Promise.all([float, model].map(async (m) => run(await bytesOf(m), feeds, 'all')));
    const differing = argmax(a.logits).filter((digit, i) => digit !== argmax(b.logits)[i]);
    expect(differing.length).toBeLessThanOrEqual(1);
  });
});

function argmax({ data, shape }: Tensor): number[] {
  const [rows, cols] = shape;
  return Array.from({ length: rows }, (_, row) => {
    const values = Array.from(data.subarray(row * cols, (row + 1) * cols) as Float32Array);
    return values.indexOf(Math.max(...values));
  });
}
