/** Arithmetic, activations, comparison, logic, reductions. */
import { ALL, ALL_FLOATS, each, FLOATS, NUMBERS, type Row } from '../row.ts';

const INTEGERS = ['int64', 'int32'] as const;

export const ARITHMETIC: readonly Row[] = [
  ...each('Add Sub Mul', 'T[2,3,4] T[4]', { types: [...ALL_FLOATS, ...INTEGERS] }),
  ['Div', 'T[2,3,4] T[4]+', { types: [...ALL_FLOATS, ...INTEGERS] }],
  ['Mod', 'T[2,3,4] T[4]+', { types: INTEGERS }],
  ['Mod', 'T[2,3,4] T[4]+', { types: FLOATS, attributes: { fmod: 1 } }],
  ...['float32', 'float16', 'int64'].map((type): Row => [
    'Pow',
    `${type}[2,3,4]+ T[4]+`,
    { types: [...FLOATS, 'int64'], from: 12, outputs: [type as 'T'] },
  ]),
  ['Pow', 'T[2,3,4]+ T[4]+', { below: 12 }],
  ...each('Abs Sign', 'T[2,3,4]', { types: NUMBERS }),
  ['Neg', 'T[2,3,4]', { types: [...FLOATS, ...INTEGERS, 'int8'] }],
  ...each('Sqrt Log Reciprocal', 'T[2,3,4]+', { types: FLOATS }),
  ...each('Exp Floor Ceil Round Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Atanh', 'T[2,3,4]', {
    types: FLOATS,
  }),
  [
    'Acosh',
    'T[2,3,4]=1,1.5,2,2.5,3,3.5,4,4.5,5,5.5,6,6.5,7,7.5,8,8.5,9,9.5,10,11,12,13,14,15',
    { types: FLOATS },
  ],
  ...each('Relu', 'T[2,3,4]', { types: [...ALL_FLOATS, 'int32', 'int8'] }),
  ...each('Sigmoid Tanh', 'T[2,3,4]', { types: ALL_FLOATS }),
  ...each(
    'LeakyRelu Elu Selu Celu HardSigmoid HardSwish Softplus Softsign ThresholdedRelu Mish Gelu Swish Shrink',
    'T[2,3,4]',
  ),
  ['PRelu', 'T[2,3,4] T[3,1]!'],
  ['Clip', 'T[2,3,4] T[]=-0.5 T[]=0.5', { from: 11, types: FLOATS }],
  ['Clip', 'T[2,3,4] T[]=2 T[]=5', { from: 12, types: [...INTEGERS, 'int8', 'uint8'] }],
  ['Clip', 'T[2,3,4]', { below: 11, attributes: { min: -0.5, max: 0.5 } }],
  ['Softmax', 'T[2,3,4]', { types: ALL_FLOATS }],
  ...each('LogSoftmax Hardmax', 'T[2,3,4]'),
  ...each('Min Max', 'T[2,3,4] T[4]', { types: NUMBERS, from: 8 }),
  ...each('Sum Mean', 'T[2,3,4] T[3,4]', { from: 8 }),
  ...each('Min Max Sum Mean', 'T[2,3] T[2,3]', { below: 8 }),
  ...each('Equal', 'T[2,3,4] T[4]', { types: [...NUMBERS, 'bool'], outputs: ['bool'] }),
  ...each('Greater Less GreaterOrEqual LessOrEqual', 'T[2,3,4] T[4]', { types: NUMBERS, outputs: ['bool'] }),
  ...each('And Or Xor', 'bool[2,3,4] bool[4]', { types: ['bool'] }),
  ['Not', 'T[2,3,4]', { types: ['bool'] }],
  ...each('BitwiseAnd BitwiseOr BitwiseXor', 'T[2,3] T[3]', { types: ['int32', 'int64', 'uint8'] }),
  ['BitwiseNot', 'T[2,3]', { types: ['int32', 'int64', 'uint8'] }],
  ['BitShift', 'T[2,3] T[2,3]', { types: ['uint8', 'uint32', 'uint64'], attributes: { direction: 'LEFT' } }],
  ...each('IsNaN IsInf', 'T[2,3]', { outputs: ['bool'] }),
  ['Where', 'bool[2,3,4] T[2,3,4] T[4]', { types: ALL }],
  ['CumSum', 'T[2,3] int64[]=1', { types: [...FLOATS, ...INTEGERS] }],
  ...each(
    'ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp',
    'T[2,3,4]',
    {
      types: [...FLOATS, ...INTEGERS],
      below: 18,
      attributes: { axes: [-1] },
    },
  ),
  ...each(
    'ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp',
    'T[2,3,4] int64[1]=-1',
    { types: [...FLOATS, ...INTEGERS], from: 18 },
  ),
  ['ReduceLogSum', 'T[2,3,4]+', { below: 18, attributes: { axes: [-1] } }],
  ['ReduceLogSum', 'T[2,3,4]+ int64[1]=-1', { from: 18 }],
  ['ReduceSum', 'T[2,3,4]', { types: [...FLOATS, ...INTEGERS], below: 13, attributes: { axes: [-1] } }],
  ['ReduceSum', 'T[2,3,4] int64[1]=-1', { types: [...FLOATS, ...INTEGERS], from: 13 }],
  ...each('ArgMax ArgMin', 'T[2,3,4]', {
    types: [...FLOATS, ...INTEGERS, 'int8', 'uint8'],
    attributes: { axis: -1 },
    outputs: ['int64'],
  }),
  ['TopK', 'T[2,6] int64[1]=3', { types: [...FLOATS, ...INTEGERS], from: 10, outputs: ['T', 'int64'] }],
];
