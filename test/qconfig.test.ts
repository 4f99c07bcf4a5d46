import {
  defaultDynamicQConfig,
  defaultPerChannelQConfig,
  defaultPerChannelWeightObserver,
  defaultQConfig,
  defaultWeightOnlyQConfig,
  FakeQuantize,
  FormatError,
  getDefaultQatQConfig,
  getDefaultQatQConfigMapping,
  getDefaultQConfig,
  getDefaultQConfigMapping,
  HistogramObserver,
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  NoopObserver,
  PerChannelMinMaxObserver,
  QConfig,
  qconfigEquals,
  qconfigFromJSON,
  QConfigMapping,
  qconfigMappingFromJSON,
  tensor,
  type QuantBackend,
} from 'zeropoint';
import { describe, expect, test } from 'vitest';

const copyOf = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('QConfig', () => {
  test('takes classes and factories; each call makes a new observer', () => {
    const qconfig = new QConfig({ activation: HistogramObserver, weight: defaultPerChannelWeightObserver });
    expect(qconfig.activation()).toBeInstanceOf(HistogramObserver);
    expect(qconfig.activation()).not.toBe(qconfig.activation());
    expect(qconfig.weight()).toMatchObject({
      dtype: 'qint8',
      qscheme: 'per_channel_symmetric',
      isPerChannel: true,
    });
  });

  test.each([new MinMaxObserver(), () => new MinMaxObserver(), {}, null, 'MinMaxObserver'])(
    'refuses what makes no observer, case %#: TypeError',
    (weight) => {
      const make = (): QConfig =>
        new QConfig({ activation: MinMaxObserver, weight: weight as typeof MinMaxObserver });
      expect(make).toThrow(TypeError);
      expect(make).toThrow(/expected a class or a factory as weight, got/);
    },
  );

  test.each([undefined, null, 'MinMaxObserver'])('refuses %s for its fields: TypeError', (fields) => {
    expect(() => new QConfig(fields as unknown as ConstructorParameters<typeof QConfig>[0])).toThrow(
      new TypeError(`QConfig: expected { activation, weight }, got ${String(fields)}`),
    );
  });

  test('the refusal of an instance says what to write', () => {
    const weight = new MinMaxObserver() as unknown as typeof MinMaxObserver;
    expect(() => new QConfig({ activation: MinMaxObserver, weight })).toThrow(
      'got an instance of MinMaxObserver; write X.withArgs({...}) instead of new X({...})',
    );
  });

  test('prints the TypeScript that makes it', () => {
    const custom = new QConfig({
      activation: MovingAverageMinMaxObserver.withArgs({ qscheme: 'per_tensor_symmetric' }),
      weight: MinMaxObserver,
    });
    expect(String(custom)).toBe(
      "new QConfig({\n  activation: MovingAverageMinMaxObserver.withArgs({ qscheme: 'per_tensor_symmetric' }),\n" +
        '  weight: MinMaxObserver,\n})',
    );
    expect(String(new QConfig({ activation: HistogramObserver, weight: MinMaxObserver }))).toBe(
      'new QConfig({ activation: HistogramObserver, weight: MinMaxObserver })',
    );
  });

  test('equality is of what is made, not of how it was written', () => {
    const written = (args: object): QConfig =>
      new QConfig({
        activation: MinMaxObserver.withArgs(args),
        weight: FakeQuantize.withArgs({ observer: MinMaxObserver }),
      });
    expect(
      qconfigEquals(
        written({ quantMin: 0, quantMax: 9 }),
        written({ quantMax: 9, quantMin: 0, eps: 2 ** -23 }),
      ),
    ).toBe(true);
    expect(qconfigEquals(written({ quantMin: 0, quantMax: 9 }), written({ quantMin: 0, quantMax: 8 }))).toBe(
      false,
    );
    expect(
      qconfigEquals(written({}), new QConfig({ activation: MinMaxObserver, weight: FakeQuantize })),
    ).toBe(false);
    expect([qconfigEquals(undefined, undefined), qconfigEquals(defaultQConfig, undefined)]).toEqual([
      true,
      false,
    ]);
  });

  test.each([
    defaultQConfig,
    defaultDynamicQConfig,
    defaultWeightOnlyQConfig,
    getDefaultQatQConfig('x86'),
    getDefaultQatQConfig('qnnpack', 0),
  ])('survives JSON, case %#', (qconfig) => {
    const copy = qconfigFromJSON(copyOf(qconfig));
    expect(qconfigEquals(copy, qconfig)).toBe(true);
    expect(String(copy)).toBe(String(qconfig));
  });

  test('where torch has Identity there is an observer that leaves float32 alone', () => {
    expect(defaultWeightOnlyQConfig.activation()).toBeInstanceOf(NoopObserver);
    expect(defaultWeightOnlyQConfig.activation().dtype).toBe('float32');
  });
});

describe('defaults of a backend', () => {
  test('an unknown backend or version: RangeError with those there are', () => {
    expect(() => getDefaultQConfig('tensorrt' as QuantBackend)).toThrow(
      /a backend of x86, fbgemm, onednn, qnnpack, onnxruntime-cpu, .*, webgpu, got tensorrt/,
    );
    expect(() => getDefaultQConfig('x86', 1)).toThrow('expected version 0, got 1');
    expect(() => getDefaultQatQConfig('x86', 2)).toThrow('expected version 0 or 1, got 2');
    expect(() => getDefaultQConfigMapping('gpu' as QuantBackend)).toThrow(RangeError);
    expect(() => getDefaultQConfig('onnxruntime-web', 1)).toThrow('expected version 0, got 1');
  });

  test.each([
    ['onnxruntime-cpu', 'quint8', 127],
    ['onnxruntime-cpu-avx2', 'quint8', 64],
    ['onnxruntime-arm', 'qint8', 127],
    ['onnxruntime-web', 'quint8', 127],
    ['webgpu', 'float32', 127],
  ] as const)('%s: activations as %s, weights int8 by channel up to %i', (backend, dtype, largest) => {
    const mapping = getDefaultQConfigMapping(backend);
    const qconfig = mapping.resolve({ opType: 'Conv', name: '' })!;
    expect(qconfig).toBe(mapping.resolve({ opType: 'Softmax', name: 'x' }));
    expect(qconfig.activation().dtype).toBe(dtype);
    const weight = qconfig.weight() as PerChannelMinMaxObserver;
    expect(weight).toMatchObject({ dtype: 'qint8', qscheme: 'per_channel_symmetric', quantMax: largest });
    weight.observe(
      tensor([
        [-1, 0.5],
        [2, 2],
      ]),
    );
    expect([...weight.calculateQParams().scale]).toEqual([1 / largest, 2 / largest].map(Math.fround));
  });
});

describe('QConfigMapping', () => {
  const [a, b, c, d, e, f] = Array.from(
    { length: 6 },
    (_, i) =>
      new QConfig({ activation: MinMaxObserver.withArgs({ eps: i + 1 }), weight: PerChannelMinMaxObserver }),
  );
  const mapping = new QConfigMapping()
    .setGlobal(a)
    .setObjectType('Conv', b)
    .setModuleNameRegex('/layer[0-9]+/.*conv', c)
    .setModuleNameRegex('/layer', d)
    .setModuleName('/layer2', e)
    .setModuleName('/layer2/head', null)
    .setModuleNameObjectTypeOrder('/layer2', 'Conv', 1, f)
    .setModuleNameObjectTypeOrder('', 'Gemm', 0, null);

  test.each([
    ['global', { opType: 'Add', name: '/add' }, a],
    ['object type over global', { opType: 'Conv', name: '/conv' }, b],
    ['object type of another domain is another one', { opType: 'com.microsoft::Conv', name: '/conv' }, a],
    ['regex over object type, the first match wins', { opType: 'Conv', name: '/layer1/block/conv1' }, c],
    ['the second regex', { opType: 'Relu', name: '/layer1/relu' }, d],
    ['a regex matches at the beginning only', { opType: 'Relu', name: '/net/layer1' }, a],
    ['name over regex, for all inside the scope', { opType: 'Conv', name: '/layer2/conv1', index: 0 }, e],
    ['a longer name is another one', { opType: 'Add', name: '/layer22' }, d],
    ['the innermost scope wins; null: not quantized', { opType: 'Add', name: '/layer2/head/add' }, undefined],
    ['order over name', { opType: 'Conv', name: '/layer2/conv1', index: 1 }, f],
    ['order in the whole model', { opType: 'Gemm', name: '/fc' }, undefined],
    ['no name', { opType: 'Conv', name: '' }, b],
  ] as const)('%s', (_, query, expected) => {
    expect(mapping.resolve(query)).toBe(expected);
  });

  test('a whole model at once: nodes are counted by op type, in every scope that they lie in', () => {
    const names = ['/layer2/conv0', '/stem', '/layer2/a/conv1', '/layer2/conv2'];
    const nodes = names.map((name) => ({ opType: 'Conv', name }));
    const gemms = ['/fc0', '/fc1'].map((name) => ({ opType: 'Gemm', name }));
    expect(mapping.resolveAll([...nodes, ...gemms])).toEqual([e, b, f, e, undefined, a]);
  });

  test('an empty mapping quantizes nothing', () => {
    expect(new QConfigMapping().resolve({ opType: 'Conv', name: 'x' })).toBeUndefined();
  });

  test('setting a key again replaces its value and keeps its place', () => {
    const again = QConfigMapping.fromDict(mapping.toDict()).setModuleNameRegex('/layer[0-9]+/.*conv', a);
    expect(again.resolve({ opType: 'Conv', name: '/layer1/block/conv1' })).toBe(a);
    expect(again.toDict().module_name_regex.map(([pattern]) => pattern)).toEqual([
      '/layer[0-9]+/.*conv',
      '/layer',
    ]);
  });

  test('toDict has the keys of torch, and fromDict reads them', () => {
    expect(Object.keys(mapping.toDict())).toEqual([
      '',
      'object_type',
      'module_name_regex',
      'module_name',
      'module_name_object_type_order',
    ]);
    expect(QConfigMapping.fromDict(mapping.toDict()).toDict()).toEqual(mapping.toDict());
    expect(QConfigMapping.fromDict({}).toDict()['']).toBe(null);
  });

  test.each([
    mapping,
    new QConfigMapping(),
    getDefaultQConfigMapping('x86'),
    getDefaultQatQConfigMapping('qnnpack'),
  ])('survives JSON, case %#', (one) => {
    const copy = qconfigMappingFromJSON(copyOf(one));
    expect(String(copy)).toBe(String(one));
    expect(copyOf(copy)).toEqual(copyOf(one));
  });

  test('prints chained setters', () => {
    const small = new QConfigMapping()
      .setGlobal(defaultPerChannelQConfig)
      .setModuleName("it's", null)
      .setModuleNameObjectTypeOrder('', 'Conv', 2, null);
    expect(String(small)).toBe(
      [
        'new QConfigMapping()',
        '  .setGlobal(new QConfig({',
        '    activation: MinMaxObserver.withArgs({ quantMin: 0, quantMax: 127 }),',
        "    weight: PerChannelMinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_channel_symmetric' }),",
        '  }))',
        "  .setModuleName('it\\'s', null)",
        "  .setModuleNameObjectTypeOrder('', 'Conv', 2, null)",
      ].join('\n'),
    );
  });

  const json = copyOf(mapping) as Record<string, unknown>;
  test.each([
    null,
    [],
    { ...json, version: 9 },
    { ...json, '': 3 },
    { ...json, object_type: 'Conv' },
    { ...json, object_type: [['Conv']] },
    { ...json, object_type: [[1, null]] },
    { ...json, module_name_regex: [['(', null]] },
    { ...json, module_name_object_type_order: [['', 'Conv', -1, null]] },
    {
      ...json,
      module_name: [
        ['x', { activation: { type: 'Nothing', args: {} }, weight: { type: 'MinMaxObserver', args: {} } }],
      ],
    },
  ])('bad JSON, case %#: FormatError STATE_INVALID', (bad) => {
    const read = (): QConfigMapping => qconfigMappingFromJSON(bad);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(expect.objectContaining({ code: 'STATE_INVALID' }));
  });

  test('wrong arguments', () => {
    expect(() => new QConfigMapping().setGlobal(new MinMaxObserver() as unknown as QConfig)).toThrow(
      TypeError,
    );
    expect(() => new QConfigMapping().setModuleNameRegex('(', a)).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        message: 'setModuleNameRegex: expected a regular expression, got "("',
        cause: expect.any(SyntaxError) as unknown,
      }),
    );
    expect(() => new QConfigMapping().setModuleNameObjectTypeOrder('', 'Conv', -1, a)).toThrow(RangeError);
  });
});
