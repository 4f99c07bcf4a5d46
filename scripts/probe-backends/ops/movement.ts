/** Shapes, movement of data, casts, what makes values from nothing. */
import { attr, type ElementType } from 'zeropoint/onnx';
import { tensor } from 'zeropoint';
import { ALL, each, FLOATS, NUMBERS, type Row } from '../row.ts';

/** TensorProto.DataType numbers (onnx.proto). */
const CAST_TARGETS = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
  uint4: 21,
  int4: 22,
} as const satisfies Partial<Record<ElementType, number>>;

/** Types that casts mostly go from or to; pairs of others are left out. */
const USUAL: ReadonlySet<string> = new Set(['float32', 'float16', 'int64', 'int32']);

/** A cast to the type that a value has already is what exporters write, too. */
const casts: readonly Row[] = Object.entries(CAST_TARGETS).map(([type, to]) => [
  'Cast',
  'T[2,3]',
  {
    types: (Object.keys(CAST_TARGETS) as ElementType[]).filter(
      (from) => from === type || USUAL.has(from) || USUAL.has(type),
    ),
    attributes: { to },
    outputs: [type as ElementType],
    ...(to > 20 && { from: 21 }),
  },
]);

const INTERPOLATIONS: readonly Row[] = ['nearest', 'linear', 'cubic'].flatMap((mode): readonly Row[] => [
  [
    'Resize',
    'T[1,2,4,4] float32[4]=1,1,2,2',
    { attributes: { mode }, below: 11, types: [...FLOATS, 'uint8', 'int8'] },
  ],
  [
    'Resize',
    // Version 11 wants regions of interest, if only none.
    'T[1,2,4,4] float32[0]! float32[4]=1,1,2,2',
    { attributes: { mode }, from: 11, below: 13, types: [...FLOATS, 'uint8', 'int8'] },
  ],
  [
    'Resize',
    'T[1,2,4,4] _ float32[4]=1,1,2,2',
    { attributes: { mode }, from: 13, types: [...FLOATS, 'uint8', 'int8'] },
  ],
]);

const PADS: readonly Row[] = ['constant', 'reflect', 'edge', 'wrap'].flatMap((mode): readonly Row[] => [
  ['Pad', 'T[2,4]', { attributes: { mode, pads: [0, 1, 0, 1] }, below: 11 }],
  [
    'Pad',
    'T[2,4] int64[4]=0,1,0,1',
    { attributes: { mode }, from: mode === 'wrap' ? 19 : 11, types: [...FLOATS, 'int64'] },
  ],
]);

export const MOVEMENT: readonly Row[] = [
  ...casts,
  ['CastLike', 'T[2,3] float32[1]', { types: ['float16', 'int64'], outputs: ['float32'] }],
  ...INTERPOLATIONS,
  ...PADS,
  ['Upsample', 'T[1,2,4,4] float32[4]=1,1,2,2', { below: 10, from: 9 }],
  ['Upsample', 'T[1,2,4,4]', { below: 9, attributes: { scales: attr.floats([1, 1, 2, 2]) } }],
  ['Reshape', 'T[2,6] int64[2]=3,4', { types: ALL }],
  ['Flatten', 'T[2,3,4]', { types: ALL }],
  ['Transpose', 'T[2,3,4]', { types: ALL, attributes: { perm: [2, 0, 1] } }],
  ['Squeeze', 'T[2,1,3]', { types: NUMBERS, below: 13, attributes: { axes: [1] } }],
  ['Squeeze', 'T[2,1,3] int64[1]=1', { types: ALL, from: 13 }],
  ['Unsqueeze', 'T[2,3]', { types: NUMBERS, below: 13, attributes: { axes: [1] } }],
  ['Unsqueeze', 'T[2,3] int64[1]=1', { types: ALL, from: 13 }],
  ['Identity', 'T[2,3]', { types: ALL }],
  ['Concat', 'T[2,3] T[2,4]', { types: ALL, attributes: { axis: 1 } }],
  [
    'Split',
    'T[2,6]',
    { types: NUMBERS, below: 13, attributes: { axis: 1, split: [2, 4] }, outputs: ['T', 'T'] },
  ],
  ['Split', 'T[2,6] int64[2]=2,4', { types: ALL, from: 13, attributes: { axis: 1 }, outputs: ['T', 'T'] }],
  ['Slice', 'T[4,6]', { types: NUMBERS, below: 10, attributes: { starts: [1, 0], ends: [3, 4] } }],
  ['Slice', 'T[4,6] int64[2]=1,0 int64[2]=3,4', { types: ALL, from: 10 }],
  ...(['int64', 'int32'] as const).map((indices): Row => [
    'Gather',
    `T[5,3] ${indices}[2,2]=0,4,2,1`,
    { types: ALL },
  ]),
  ['GatherElements', 'T[3,3] int64[2,3]=0,1,2,2,1,0', { types: NUMBERS }],
  ['GatherND', 'T[3,3] int64[2,2]=0,1,2,2', { types: NUMBERS, from: 11 }],
  ['ScatterElements', 'T[3,3] int64[1,3]=0,1,2 T[1,3]', { types: NUMBERS }],
  ['ScatterND', 'T[3,3] int64[2,1]=0,2 T[2,3]', { types: NUMBERS }],
  ['Expand', 'T[3,1] int64[3]=2,3,4', { types: ALL }],
  ['Tile', 'T[2,3] int64[2]=2,2', { types: ALL }],
  ['DepthToSpace', 'T[1,4,2,3]', { types: [...FLOATS, 'uint8', 'int8'], attributes: { blocksize: 2 } }],
  ['SpaceToDepth', 'T[1,1,4,6]', { types: FLOATS, attributes: { blocksize: 2 } }],
  ['Trilu', 'T[3,3]', { types: [...FLOATS, 'int64', 'bool'] }],
  ['ReverseSequence', 'T[3,2] int64[2]=3,2', { types: FLOATS }],
  ['Compress', 'T[3,2] bool[3]=1,0,1', { types: FLOATS, attributes: { axis: 0 } }],
  ['CenterCropPad', 'T[4,4] int64[2]=2,6'],
  ['TensorScatter', 'T[1,2,6,4] T[1,2,3,4] int64[1]=1'],
  ...each('Shape Size', 'T[2,3]', { types: ALL, outputs: ['int64'] }),
  ['NonZero', 'T[2,3]', { types: ['float32', 'bool', 'int64', 'int32', 'uint8'], outputs: ['int64'] }],
  ['OneHot', 'int64[3]=0,2,1 int64[]=3 T[2]=0,1', { types: ['float32', 'float16', 'int64', 'int32'] }],
  ['Unique', 'T[4]', { types: ['float32', 'int64', 'int8'], attributes: { sorted: 1 } }],
  ['Range', 'T[]=0 T[]=6 T[]=2', { types: ['float32', 'int64', 'int32', 'float16', 'bfloat16'] }],
  ['EyeLike', 'float32[3,3]', { types: ['float32'], attributes: { dtype: 1 } }],
  ...(['float32', 'float16', 'int64', 'int32', 'bool'] as const).map((type): Row => {
    const value = tensor([1], [1], type);
    return ['ConstantOfShape', 'int64[2]=2,3', { types: [type], attributes: { value: attr.tensor(value) } }];
  }),
  ...(['float32', 'float16', 'int64', 'int32', 'bool', 'uint8', 'int8'] as const).map((type): Row => {
    return ['Constant', '', { types: [type], attributes: { value: attr.tensor(tensor([1, 0], [2], type)) } }];
  }),
  ...each('RandomNormal RandomUniform', '', {
    types: ['float32'],
    attributes: { shape: attr.ints([2, 3]), dtype: 1 },
    random: true,
  }),
  ...each('RandomNormalLike RandomUniformLike', 'T[2,3]', { types: FLOATS, random: true }),
];
