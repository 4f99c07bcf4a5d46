/** What quantizers write: ONNX's integer operators and onnxruntime's. */
import { attr, type ElementType } from 'zeropoint/onnx';
import { CODES, FLOATS, type Row } from '../row.ts';

const ALL_CODES = ['uint8', 'int8', 'uint16', 'int16', 'uint4', 'int4'] as const;
const NARROW = ['uint4', 'int4', 'uint2', 'int2'] as const;
const SCALES = ['float32', 'float16', 'bfloat16'] as const;

/** Values of a scale, so many of them. */
const scales = (count: number): string => Array.from({ length: count }, (_, i) => 0.05 + i / 100).join();

/** First version that has the type of codes. */
const since = (codes: ElementType): number =>
  /^u?int2$/.test(codes) ? 25 : /^u?int(4|16)$/.test(codes) ? 21 : 10;

const quantize: readonly Row[] = ALL_CODES.flatMap((codes): readonly Row[] => {
  const options = { outputs: [codes], from: since(codes) };
  return [
    ['QuantizeLinear', `T[4,8] T[]=0.05 ${codes}[]=3`, { ...options, types: FLOATS }],
    [
      'QuantizeLinear',
      `T[4,8] T[4]=${scales(4)} ${codes}[4]=1,2,3,4`,
      { ...options, attributes: { axis: 0 }, types: FLOATS, from: Math.max(13, since(codes)) },
    ],
    [
      'QuantizeLinear',
      `T[4,8] T[2,8]=${scales(16)} ${codes}[2,8]!`,
      { ...options, attributes: { axis: 0, block_size: 2 }, types: FLOATS, from: 21 },
    ],
  ];
});

const dequantize: readonly Row[] = [...ALL_CODES, 'uint2', 'int2', 'int32'].flatMap((name): readonly Row[] =>
  SCALES.flatMap((scale): readonly Row[] => {
    const codes = name as ElementType;
    // A zero point of int32 must be zero (operator DequantizeLinear).
    const zero = (shape: string, values: string): string =>
      codes === 'int32' ? '_' : `${codes}[${shape}]${values === '!' ? '!' : `=${values}`}`;
    const options = { types: [codes], outputs: [scale], from: since(codes) };
    return [
      ['DequantizeLinear', `T[4,8]! ${scale}[]=0.05 ${zero('', '1')}`, options],
      [
        'DequantizeLinear',
        `T[4,8]! ${scale}[4]=${scales(4)} ${zero('4', '1,0,1,1')}`,
        { ...options, attributes: { axis: 0 }, from: Math.max(13, since(codes)) },
      ],
      [
        'DequantizeLinear',
        `T[4,8]! ${scale}[2,8]=${scales(16)} ${zero('2,8', '!')}`,
        { ...options, attributes: { axis: 0, block_size: 2 }, from: Math.max(21, since(codes)) },
      ],
    ];
  }),
);

const pairs: readonly (readonly [ElementType, ElementType])[] = CODES.flatMap((a) =>
  CODES.map((b) => [a, b] as const),
);

const products: readonly Row[] = pairs.flatMap(([a, b]): readonly Row[] => [
  ['MatMulInteger', `T[3,4] ${b}[4,5]! T[]=3 ${b}[]=1`, { types: [a], outputs: ['int32'] }],
  ['ConvInteger', `T[1,3,6,6] ${b}[4,3,3,3]! T[]=3 ${b}[]=1`, { types: [a], outputs: ['int32'] }],
  [
    'QLinearMatMul',
    `T[3,4] float32[]=0.05 T[]=3 ${b}[4,5]! float32[]=0.02 ${b}[]=0 float32[]=0.1 T[]=5`,
    { types: [a] },
  ],
  ...['[1,3,8] [4,3,3]', '[1,3,6,6] [4,3,3,3]'].map((shapes): Row => {
    const [x, w] = shapes.split(' ');
    return [
      'QLinearConv',
      `T${x} float32[]=0.05 T[]=3 ${b}${w}! float32[4]=${scales(4)} ${b}[4]=0,0,0,0 float32[]=0.2 T[]=5`,
      { types: [a] },
    ];
  }),
  [
    'com.microsoft.QGemm',
    `T[3,4] float32[]=0.05 T[]=3 ${b}[5,4]! float32[]=0.02 ${b}[]=0 int32[5]! float32[]=0.1 T[]=5`,
    { types: [a], attributes: { transB: 1 } },
  ],
  [
    'com.microsoft.MatMulIntegerToFloat',
    `T[3,4] ${b}[4,5]! float32[]=0.05 float32[]=0.02 T[]=3 ${b}[]=1`,
    { types: [a], outputs: ['float32'] },
  ],
  [
    'com.microsoft.QAttention',
    `T[1,3,4] ${b}[4,12]! float32[12]! float32[]=0.05 float32[]=0.02 _ T[]=3 ${b}[]=1`,
    { types: [a], outputs: ['float32'], attributes: { num_heads: 2 } },
  ],
]);

const unary = (op: string, attributes = {}, shape = '2,8'): Row => [
  `com.microsoft.${op}`,
  `T[${shape}] float32[]=0.05 T[]=3 float32[]=0.02 T[]=5`,
  { types: CODES, attributes },
];

const qlinear: readonly Row[] = [
  ...['QLinearAdd', 'QLinearMul'].map((op): Row => [
    `com.microsoft.${op}`,
    'T[2,8] float32[]=0.05 T[]=3 T[2,8] float32[]=0.04 T[]=1 float32[]=0.1 T[]=5',
    { types: CODES },
  ]),
  unary('QLinearSigmoid'),
  unary('QLinearLeakyRelu', { alpha: 0.1 }),
  unary('QLinearSoftmax', { axis: -1, opset: 13 }),
  unary('QLinearGlobalAveragePool', {}, '1,2,4,4'),
  unary('QLinearAveragePool', { kernel_shape: [2, 2], strides: [2, 2] }, '1,2,4,4'),
  [
    'com.microsoft.QLinearReduceMean',
    'T[2,8] float32[]=0.05 T[]=3 float32[]=0.02 T[]=5',
    { types: CODES, attributes: { axes: [1], keepdims: 1 } },
  ],
  [
    'com.microsoft.QLinearConcat',
    'float32[]=0.1 T[]=5 T[2,3] float32[]=0.05 T[]=3 T[2,4] float32[]=0.04 T[]=1',
    { types: CODES, attributes: { axis: 1 } },
  ],
  [
    'com.microsoft.QLinearWhere',
    'bool[2,4] T[2,4] float32[]=0.05 T[]=3 T[2,4] float32[]=0.04 T[]=1 float32[]=0.1 T[]=5',
    { types: CODES },
  ],
];

/** K = 32, N = 4, blocks of 16. */
const blockWeights: readonly Row[] = [2, 4, 8].flatMap((bits): readonly Row[] => {
  const blob = (16 * bits) / 8;
  const attributes = { K: 32, N: 4, bits, block_size: 16 };
  const zeros = Math.ceil((2 * bits) / 8) * 4;
  const table = { bits, block_size: 16, gather_axis: 0, quantize_axis: 1 };
  const packed = (32 * bits) / 8;
  const packedZeros = Math.ceil((2 * bits) / 8);
  return [
    ['com.microsoft.MatMulNBits', `T[3,32] uint8[4,2,${blob}]! T[8]!+`, { attributes }],
    ['com.microsoft.MatMulNBits', `T[3,32] uint8[4,2,${blob}]! T[8]!+ uint8[${zeros}]!`, { attributes }],
    ...SCALES.flatMap((scale): readonly Row[] => [
      [
        'com.microsoft.GatherBlockQuantized',
        `uint8[6,${packed}]! int64[2]=1,4 ${scale}[6,2]!+`,
        { attributes: table, outputs: [scale], types: ['uint8'] },
      ],
      [
        'com.microsoft.GatherBlockQuantized',
        `uint8[6,${packed}]! int64[2]=1,4 ${scale}[6,2]!+ uint8[6,${packedZeros}]!`,
        { attributes: table, outputs: [scale], types: ['uint8'] },
      ],
    ]),
  ];
});

const narrowTables: readonly Row[] = NARROW.slice(0, 2).flatMap((codes) =>
  SCALES.flatMap((scale): readonly Row[] => {
    const attributes = { block_size: 16, gather_axis: 0, quantize_axis: 1 };
    return [
      [
        'com.microsoft.GatherBlockQuantized',
        `T[6,32]! int64[2]=1,4 ${scale}[6,2]!+`,
        { attributes, outputs: [scale], types: [codes] },
      ],
      [
        'com.microsoft.GatherBlockQuantized',
        `T[6,32]! int64[2]=1,4 ${scale}[6,2]!+ T[6,2]!`,
        { attributes, outputs: [scale], types: [codes] },
      ],
    ];
  }),
);

export const QUANTIZED: readonly Row[] = [
  ...quantize,
  ...dequantize,
  ['DynamicQuantizeLinear', 'T[3,8]', { types: ['float32'], outputs: ['uint8', 'float32', 'uint8'] }],
  ...products,
  ...qlinear,
  ...blockWeights,
  ...narrowTables,
  ...[0, 1].map((quant_type): Row => [
    'com.microsoft.MatMulBnb4',
    'T[3,32] uint8[64]! T[8]!+',
    { attributes: { K: 32, N: 4, block_size: 16, quant_type } },
  ]),
  ...CODES.flatMap((codes): readonly Row[] => [
    [
      'com.microsoft.DynamicQuantizeMatMul',
      `T[3,4] ${codes}[4,5]! float32[]=0.02 ${codes}[]=1`,
      { types: ['float32'] },
    ],
    [
      'com.microsoft.DynamicQuantizeLSTM',
      `T[3,2,4] ${codes}[1,4,12]! ${codes}[1,3,12]! float32[1,24]! _ _ _ _ float32[1]=0.02 ${codes}[1]=0 float32[1]=0.02 ${codes}[1]=0`,
      { types: ['float32'], attributes: { hidden_size: 3 } },
    ],
  ]),
  [
    'com.microsoft.QEmbedLayerNormalization',
    'int32[1,3]=0,1,2 int32[1,3]=0,0,1 T[4,8]! T[4,8]! T[2,8]! T[8]! T[8]! float32[]=0.05 float32[]=0.05 float32[]=0.05 float32[]=0.05 float32[]=0.05 T[]=3 T[]=3 T[]=3 T[]=3 T[]=3 int32[1,3]=1,1,1',
    { types: ['uint8'], outputs: ['float32', 'int32'], attributes: { epsilon: attr.float(1e-12) } },
  ],
];
