/** `check`: what the table of backends says of models made here. */
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import {
  buildModel,
  check,
  CHECK_TARGETS,
  failsCheck,
  quantizeDynamic,
  quantizeWeights,
  type CheckFinding,
  type CheckTarget,
  type ElementType,
  type GraphBuilder,
  type Model,
  type Support,
  type Value,
} from 'zeropoint/onnx';

/** y = relu(x · w), K and N multiples of a block. */
function product(opset = 21): Model {
  return buildModel(
    (b) => {
      const w = Float32Array.from({ length: 64 * 32 }, (_, i) => Math.sin(i));
      const x = b.input('x', 'float32', ['N', 64]);
      b.output(b.op('Relu', [b.op('MatMul', [x, b.constant('w', tensor(w, [64, 32]))])]), 'y', 'float32');
    },
    { opset },
  );
}

async function verdicts(model: Model): Promise<Record<string, Support>> {
  const { targets } = await check(model);
  return Object.fromEntries(targets.map(({ target, verdict }) => [target, verdict]));
}

async function findings(model: Model, target: CheckTarget): Promise<readonly CheckFinding[]> {
  return (await check(model, { targets: [target] })).targets[0].findings;
}

const EVERYWHERE = Object.fromEntries(CHECK_TARGETS.map((target) => [target, 'runs']));

describe('verdicts', () => {
  it('a float net runs everywhere, in every opset from 7 to 25', async () => {
    for (let opset = 7; opset <= 25; opset++)
      expect(await verdicts(product(opset)), `${opset}`).toEqual(EVERYWHERE);
  });

  it('weights in blocks run everywhere; dynamic int8 leaves WebGPU for the CPU', async () => {
    expect(await verdicts((await quantizeWeights(product())).model)).toEqual(EVERYWHERE);
    const { model } = await quantizeDynamic(product());
    expect(await verdicts(model)).toEqual({ ...EVERYWHERE, 'ort-web-webgpu': 'falls back' });
    const [first, ...rest] = await findings(model, 'ort-web-webgpu');
    expect([first, ...rest].map(({ op }) => op).toSorted()).toEqual([
      'DynamicQuantizeLinear',
      'MatMulInteger',
    ]);
    expect(first.advice).toContain('quantize weights alone');
  });

  it('float16 needs GPUs with 16-bit arithmetic', async () => {
    const half = buildModel((b) => {
      const x = b.input('x', 'float16', ['N', 4]);
      b.output(b.op('Relu', [x]), 'y', 'float16');
    });
    expect(await verdicts(half)).toEqual({ ...EVERYWHERE, 'ort-web-webgpu': 'needs shader-f16' });
  });

  it('an operator that no runtime has is unknown, and so is a type that the file does not tell', async () => {
    const custom = buildModel(
      (b) => b.output(b.op('my.domain.Blur', [b.input('x', 'float32', [4])]), 'y', 'float32'),
      { opsets: { 'my.domain': 1 } },
    );
    const [finding] = await findings(custom, 'ort-node-cpu');
    expect(finding).toMatchObject({ support: 'unknown', op: 'my.domain.Blur', version: null, count: 1 });
    const untold = buildModel(
      (b) => {
        const blurred = b.op('my.domain.Blur', [b.input('x', 'float32', [4])]);
        b.output(b.op('Relu', [blurred]), 'y', 'float32');
      },
      { opsets: { 'my.domain': 1 } },
    );
    const relu = (await findings(untold, 'ort-web-webgpu')).find(({ op }) => op === 'Relu');
    expect(relu).toMatchObject({ support: 'unknown', types: '?', version: 14 });
    expect(relu?.advice).toContain('does not tell the type');
  });

  it('an opset that the runtime does not load is missing everywhere, one before 7 unknown', async () => {
    const { targets } = await check(product(28));
    for (const { verdict, findings: found, newestOpset } of targets) {
      expect(verdict).toBe('missing');
      expect(failsCheck(verdict)).toBe(true);
      expect(found[0].advice).toContain(`opset ${newestOpset} at most`);
    }
    expect(await verdicts(product(6))).toEqual(
      Object.fromEntries(CHECK_TARGETS.map((target) => [target, 'unknown'])),
    );
  });

  it('bfloat16 has few kernels', async () => {
    const model = buildModel((b) => {
      b.output(b.op('Relu', [b.input('x', 'bfloat16', [4])]), 'y', 'bfloat16');
    });
    const [finding] = await findings(model, 'ort-node-cpu');
    expect(finding).toMatchObject({ support: 'missing', op: 'Relu', types: 'bfloat16', version: 14 });
    expect(finding.advice).toContain('float16 or float32');
  });
});

/** A model of one node, whose inputs are told by type and shape: `uint8 3,4`; `-` is absent. */
function one(
  op: string,
  inputs: readonly string[],
  output: ElementType,
  attributes: Record<string, number> = {},
  opset = 21,
): Model {
  return buildModel(
    (b) => {
      const values = inputs.map((text, i) => {
        if (text === '-') return undefined;
        const [type, shape = ''] = text.split(' ');
        return b.input(`x${i}`, type as ElementType, shape === '' ? [] : shape.split(',').map(Number));
      });
      b.output(b.op(op, values, attributes), 'y', output);
    },
    { opset, opsets: { 'com.microsoft': 1 } },
  );
}

const SCALE = 'float32';
const QLINEAR = ['uint8 1,3,6,6', SCALE, 'uint8', 'int8 4,3,3,3', 'float32 4', 'int8 4', SCALE, 'uint8'];
const BLOCKS = { K: 32, N: 4, block_size: 16 };

/** `op` on codes of int8, then a Relu, which is not probed with them: the type that it is found to read. */
async function typeAfter(op: string, inputs: readonly string[]): Promise<string | undefined> {
  const model = buildModel(
    (b) => {
      const values = inputs.map((type, i) => b.input(`x${i}`, type as ElementType, []));
      b.output(b.op('Relu', [b.op(op, values)]), 'y', 'int8');
    },
    { opset: 12, opsets: { 'com.microsoft': 1 } },
  );
  return (await findings(model, 'ort-node-cpu')).find((finding) => finding.op === 'Relu')?.types;
}

const CODES = ['int8', 'float32', 'int8'];
const GRID = CODES.slice(1);

describe('types of integer operators', () => {
  it.each<[string, readonly string[], string | undefined]>([
    ['QuantizeLinear', ['float32', ...GRID], 'int8'],
    ['QuantizeLinear', ['float32', 'float32'], 'uint8'],
    ['com.microsoft.QuantizeLinear', ['float32', ...GRID], 'int8'],
    ['QLinearConv', ['uint8', 'float32', 'uint8', ...CODES, ...GRID], 'int8'],
    ['QLinearMatMul', ['uint8', 'float32', 'uint8', ...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearConv', [...CODES, ...CODES, ...GRID], 'int8'],
    ['com.microsoft.QGemm', [...CODES, ...CODES, 'int32', ...GRID], 'int8'],
    ['com.microsoft.QLinearConcat', [...GRID, ...CODES, ...CODES], 'int8'],
    ['com.microsoft.QLinearWhere', ['bool', ...CODES, ...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearAdd', [...CODES, ...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearMul', [...CODES, ...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearSigmoid', [...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearLeakyRelu', [...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearSoftmax', [...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearAveragePool', [...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearGlobalAveragePool', [...CODES, ...GRID], 'int8'],
    ['com.microsoft.QLinearReduceMean', [...CODES, ...GRID], 'int8'],
    // Float, which Relu runs with.
    ['com.microsoft.QGemm', [...CODES, ...CODES, 'int32'], undefined],
  ])('%s of %j gives %s', async (op, inputs, expected) => {
    expect(await typeAfter(op, inputs)).toBe(expected);
  });

  it('advice about old opsets is not for the versions of other domains', async () => {
    const model = one('com.microsoft.QLinearAdd', ['uint16', SCALE, 'uint16', 'uint16'], 'uint16');
    const [finding] = await findings(model, 'ort-node-cpu');
    expect(finding).toMatchObject({ support: 'unknown', version: 1, types: 'uint16' });
    expect(finding.advice).toBe('this type was not probed: look with --run');
  });
});

/** What was found by hand before there was a probe. */
describe('what quantizers write, on WebGPU', () => {
  it.each<[string, readonly string[], ElementType, Record<string, number>, Support]>([
    ['MatMulInteger', ['uint8 3,4', 'int8 4,5', 'uint8', 'int8'], 'int32', {}, 'falls back'],
    ['ConvInteger', ['uint8 1,3,6,6', 'int8 4,3,3,3'], 'int32', {}, 'falls back'],
    ['QLinearConv', QLINEAR, 'uint8', {}, 'falls back'],
    ['DynamicQuantizeLinear', ['float32 3,4'], 'uint8', {}, 'falls back'],
    ['QuantizeLinear', ['float32 3,4', SCALE, 'uint8'], 'uint8', {}, 'falls back'],
    ['DequantizeLinear', ['int8 3,4', SCALE, 'int8'], 'float32', {}, 'runs'],
    ['DequantizeLinear', ['uint8 3,4', 'float32 4', 'uint8 4'], 'float32', { axis: 1 }, 'runs'],
    [
      'DequantizeLinear',
      ['int4 4,4', 'float32 2,4', 'int4 2,4'],
      'float32',
      { axis: 0, block_size: 2 },
      'runs',
    ],
    [
      'DequantizeLinear',
      ['uint4 4,4', 'float32 2,4', 'uint4 2,4'],
      'float32',
      { axis: 0, block_size: 2 },
      'runs',
    ],
    [
      'com.microsoft.MatMulNBits',
      ['float32 3,32', 'uint8 4,2,8', 'float32 8'],
      'float32',
      { ...BLOCKS, bits: 4 },
      'runs',
    ],
    [
      'com.microsoft.MatMulNBits',
      ['float32 3,32', 'uint8 4,2,4', 'float32 8'],
      'float32',
      { ...BLOCKS, bits: 2 },
      'runs',
    ],
    [
      'com.microsoft.MatMulNBits',
      ['float32 3,32', 'uint8 4,2,16', 'float32 8', 'uint8 8'],
      'float32',
      { ...BLOCKS, bits: 8 },
      'runs',
    ],
    [
      'com.microsoft.MatMulBnb4',
      ['float32 3,32', 'uint8 64', 'float32 8'],
      'float32',
      { ...BLOCKS, quant_type: 1 },
      'runs',
    ],
    [
      'com.microsoft.GatherBlockQuantized',
      ['uint8 6,16', 'int64 2', 'float32 6,2', 'uint8 6,1'],
      'float32',
      { bits: 4, block_size: 16 },
      'runs',
    ],
    [
      'com.microsoft.GatherBlockQuantized',
      ['int4 6,32', 'int64 2', 'float32 6,2'],
      'float32',
      { bits: 4, block_size: 16 },
      'runs',
    ],
  ])('%s of %s to %s', async (op, inputs, output, attributes, expected) => {
    expect(await verdicts(one(op, inputs, output, attributes))).toEqual({
      ...EVERYWHERE,
      // The build with WebGPU has no CPU kernel for it.
      ...(op.endsWith('GatherBlockQuantized') && { 'transformersjs-wasm': 'missing' }),
      'ort-web-webgpu': expected,
    });
  });
});

it('DequantizeLinear: kernels of WebGPU end with opset 23, and have no 2-bit codes', async () => {
  const inputs = ['int8 3,4', SCALE, 'int8'];
  const verdict = async (codes: string, opset: number): Promise<Support> =>
    (
      await verdicts(
        one(
          'DequantizeLinear',
          inputs.map((text) => text.replace('int8', codes)),
          'float32',
          {},
          opset,
        ),
      )
    )['ort-web-webgpu'];
  expect(await verdict('int8', 23)).toBe('runs');
  expect(await verdict('int8', 24)).toBe('falls back');
  expect(await verdict('int2', 25)).toBe('falls back');
});

/** The targets whose builds have no Dropout-13, and which fail where it is not taken out. */
async function isMissing(build: (b: GraphBuilder) => void, opset = 13): Promise<boolean> {
  const all = await verdicts(buildModel(build, { opset }));
  const [fewer, webgpu] = [all['transformersjs-wasm'], all['ort-web-webgpu']];
  expect(fewer === 'missing').toBe(webgpu === 'missing');
  return fewer === 'missing';
}

/** Each was held against --run in Chromium. */
describe('Identity and Dropout, which onnxruntime takes out before it chooses kernels', () => {
  const x = (b: GraphBuilder): Value => b.input('x', 'float32', ['N', 4]);
  const ratio = (b: GraphBuilder): Value => b.constant('ratio', tensor(0.5, []));
  const training = (b: GraphBuilder): Value => b.constant('training', tensor(Uint8Array.of(1), [], 'bool'));
  const output = (b: GraphBuilder, value: Value): void => b.output(value, 'y', 'float32', ['N', 4]);
  const dropout = (b: GraphBuilder, ...inputs: readonly Value[]): Value => b.op('Dropout', inputs);

  it.each<[string, boolean, (b: GraphBuilder) => void]>([
    ['between nodes', false, (b) => output(b, b.op('Neg', [dropout(b, b.op('Abs', [x(b)]), ratio(b))]))],
    [
      'between nodes, with training_mode, which nothing computes in',
      false,
      (b) => output(b, b.op('Neg', [dropout(b, b.op('Abs', [x(b)]), ratio(b), training(b))])),
    ],
    [
      'between nodes, with a ratio that the caller gives',
      false,
      (b) => output(b, b.op('Neg', [dropout(b, b.op('Abs', [x(b)]), b.input('r', 'float32', []))])),
    ],
    [
      'between nodes, with a ratio that a node gives',
      true,
      (b) => {
        const computed = b.op('Neg', [b.input('r', 'float32', [])]);
        output(b, b.op('Neg', [dropout(b, b.op('Abs', [x(b)]), computed)]));
      },
    ],
    ['of an input', false, (b) => output(b, b.op('Neg', [dropout(b, x(b))]))],
    ['of an input, with a ratio', true, (b) => output(b, b.op('Neg', [dropout(b, x(b), ratio(b))]))],
    [
      'of an input behind another one, with a ratio',
      true,
      (b) => output(b, b.op('Neg', [dropout(b, dropout(b, x(b)), ratio(b))])),
    ],
    ['that gives an output', true, (b) => output(b, dropout(b, b.op('Abs', [x(b)])))],
    [
      'whose mask is an output',
      true,
      (b) => {
        const [y, mask] = b.ops('Dropout', [b.op('Abs', [x(b)])], ['d', 'mask']);
        output(b, b.op('Neg', [y]));
        b.output(mask, 'mask', 'bool');
      },
    ],
    [
      'whose mask nobody reads',
      false,
      (b) => output(b, b.op('Neg', [b.ops('Dropout', [b.op('Abs', [x(b)])], ['d', 'mask'])[0]])),
    ],
  ])('Dropout %s: missing: %s', async (_, expected, build) => {
    expect(await isMissing(build)).toBe(expected);
  });

  it('every version of Dropout', async () => {
    for (const opset of [7, 10, 12, 13, 22]) {
      const model = buildModel((b) => output(b, b.op('Neg', [dropout(b, b.op('Abs', [x(b)]))])), { opset });
      expect(await verdicts(model), `${opset}`).toEqual(EVERYWHERE);
    }
  });

  /** An If whose branches are made by `inside` of a value before it. */
  const branched =
    (
      before: (b: GraphBuilder, a: Value) => Value,
      ...inside: ((b: GraphBuilder, d: Value, a: Value) => Value)[]
    ) =>
    (b: GraphBuilder): void => {
      const a = b.op('Abs', [x(b)]);
      const d = before(b, a);
      const [then, other] = inside.map((make, i) =>
        b.body(`branch${i}`, (inner) => inner.output(make(inner, d, a), `o${i}`, 'float32')),
      );
      const graphs = {
        then_branch: { kind: 'graph', value: then },
        else_branch: { kind: 'graph', value: other },
      } as const;
      output(b, b.op('If', [b.input('go', 'bool', [])], graphs));
    };
  const neg = (b: GraphBuilder, d: Value): Value => b.op('Neg', [d]);
  const self = (_: GraphBuilder, a: Value): Value => a;

  it.each([
    ['in front of bodies that read it', false, branched(dropout, neg, neg)],
    [
      'in front of bodies that read it and what it reads',
      true,
      branched(dropout, neg, (b, _, a) => neg(b, a)),
    ],
    ['in bodies', false, branched(self, (b, d) => neg(b, dropout(b, d)), neg)],
    ['that gives the output of a body', true, branched(self, (b, d) => dropout(b, d), neg)],
  ])('Dropout %s: missing: %s', async (_, expected, build) => {
    expect(await isMissing(build)).toBe(expected);
  });

  it.each<[string, boolean, (b: GraphBuilder, a: Value) => void]>([
    ['between nodes', true, (b, a) => b.output(b.op('Mul', [b.op('Identity', [a]), a]), 'z', 'int64')],
    ['that gives an output', true, (b, a) => b.output(b.op('Identity', [a]), 'z', 'int64')],
    [
      'that gives an output, of a value that others read',
      false,
      (b, a) => {
        b.output(b.op('Identity', [a]), 'z', 'int64');
        b.output(b.op('Neg', [a]), 'n', 'int64');
      },
    ],
    [
      'that gives an output, of an output',
      false,
      (b, a) => {
        b.output(b.op('Identity', [a]), 'z', 'int64');
        b.output(a, 'a', 'int64');
      },
    ],
    [
      'of an input that gives an output',
      false,
      (b) => b.output(b.op('Identity', [b.graph.inputs[0]]), 'z', 'int64'),
    ],
  ])('Identity %s: taken out: %s', async (_, expected, build) => {
    const model = buildModel((b) => build(b, b.op('Abs', [b.input('i', 'int64', ['N'])])));
    const identity = (await findings(model, 'ort-web-webgpu')).find(({ op }) => op === 'Identity');
    expect(identity === undefined).toBe(expected);
  });
});

describe('which nodes', () => {
  it('those in bodies count; groups have operator, version, types and nodes', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const go = b.input('go', 'bool', []);
      const then = b.body('then', (inner) => {
        inner.ops('DynamicQuantizeLinear', [x], ['q', 's', 'z']);
        inner.output(inner.op('Neg', [x]), 't', 'float32', [2, 4]);
      });
      const other = b.body('other', (inner) => inner.output(inner.op('Abs', [x]), 'o', 'float32', [2, 4]));
      const graphs = {
        then_branch: { kind: 'graph', value: then },
        else_branch: { kind: 'graph', value: other },
      } as const;
      b.output(b.op('If', [go], graphs), 'y', 'float32', [2, 4]);
    });
    const { nodes, findings: found } = (await check(model, { targets: ['ort-web-webgpu'] })).targets[0];
    expect(nodes).toBe(4);
    expect(found.find(({ op }) => op === 'DynamicQuantizeLinear')).toMatchObject({
      support: 'falls back',
      version: 11,
      types: 'float32',
      count: 1,
      nodes: ['dynamicquantizelinear'],
    });
  });

  it('what is computed from constants is computed once, on the CPU', async () => {
    const build = (isConstant: boolean): Model =>
      buildModel((b) => {
        const values = tensor(Int32Array.of(-1, 2, -3, 4));
        const a = isConstant ? b.constant('a', values) : b.input('a', 'int32', [4]);
        b.output(b.op('Cast', [b.op('Relu', [a])], { to: 1 }), 'y', 'float32');
      });
    expect((await verdicts(build(false)))['ort-web-webgpu']).toBe('falls back');
    expect((await verdicts(build(true)))['ort-web-webgpu']).toBe('runs');
  });

  it("types are told by onnxruntime's own operators", async () => {
    const { model } = await quantizeWeights(product());
    expect([...model.graph.allNodes()].map(({ qualifiedOp }) => qualifiedOp)).toEqual([
      'com.microsoft.MatMulNBits',
      'Relu',
    ]);
    expect((await check(model)).targets.flatMap(({ findings: found }) => found)).toEqual([]);
  });

  it('does not change the model, and reads no weight', async () => {
    const model = product();
    const [w] = model.graph.initializers;
    const { initializer } = w;
    if (initializer === undefined) throw new Error('expected a weight');
    w.initializer = { ...initializer, tensor: undefined, load: () => Promise.reject(new Error('read')) };
    await check(model);
    expect([...model.graph.nodes].map(({ opType }) => opType)).toEqual(['MatMul', 'Relu']);
  });
});

describe('options', () => {
  it('targets and versions that were not probed are refused', async () => {
    await expect(check(product(), { targets: ['ort-web-webgl' as CheckTarget] })).rejects.toThrow(
      "check: expected targets[0] one of ort-node-cpu, ort-web-wasm, transformersjs-wasm, ort-web-webgpu, got 'ort-web-webgl'",
    );
    await expect(check(product(), { targets: [] })).rejects.toThrow(RangeError);
    await expect(check(product(), { version: '0.9' })).rejects.toThrow(
      /check: expected a version of onnxruntime of 1\.30\.0, got 0\.9/,
    );
    expect((await check(product(), { version: '1.30' })).version).toBe('1.30.0');
  });
});
