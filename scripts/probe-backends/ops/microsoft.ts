/** onnxruntime's own operators of floats: what its optimizer and exporters of transformers leave in files. */
import { each, FLOATS, type Row } from '../row.ts';

const MS = 'com.microsoft.';
const HEADS = { num_heads: 2 } as const;

export const MICROSOFT: readonly Row[] = [
  ...each(`${MS}Gelu ${MS}QuickGelu`, 'T[2,3,8]', { types: FLOATS }),
  [`${MS}FastGelu`, 'T[2,3,8] T[8]!'],
  [`${MS}BiasGelu`, 'T[2,3,8] T[8]!'],
  [`${MS}BiasSplitGelu`, 'T[2,3,16] T[16]!'],
  [`${MS}BiasAdd`, 'T[2,3,8] T[8]! T[2,3,8]'],
  [`${MS}SkipLayerNormalization`, 'T[2,3,8] T[2,3,8] T[8]! T[8]!'],
  [`${MS}SkipSimplifiedLayerNormalization`, 'T[2,3,8] T[2,3,8] T[8]!'],
  [
    `${MS}EmbedLayerNormalization`,
    'int32[1,3]=0,1,2 int32[1,3]=0,0,1 T[4,8]! T[4,8]! T[2,8]! T[8]! T[8]! int32[1,3]=1,1,1',
    { outputs: ['T', 'int32'] },
  ],
  [`${MS}Attention`, 'T[1,3,8] T[8,24]! T[24]!', { attributes: HEADS }],
  [`${MS}MultiHeadAttention`, 'T[1,3,8] T[1,3,8] T[1,3,8]', { attributes: HEADS }],
  [
    `${MS}GroupQueryAttention`,
    'T[1,1,32] T[1,1,16] T[1,1,16] T[1,1,4,16] T[1,1,4,16] int32[1]=4 int32[1]=5',
    { attributes: { num_heads: 2, kv_num_heads: 1 }, outputs: ['T', 'T', 'T'] },
  ],
  [`${MS}RotaryEmbedding`, 'T[1,3,8] int64[1,3]=0,1,2 T[4,2]! T[4,2]!', { attributes: HEADS }],
  [`${MS}FusedMatMul`, 'T[2,3,4] T[2,5,4]', { attributes: { transB: 1, alpha: 0.5 } }],
  [`${MS}FusedGemm`, 'T[3,4] T[4,5]! T[5]!', { attributes: { activation: 'Relu' } }],
  [
    `${MS}FusedConv`,
    'T[1,4,6,6] T[6,4,3,3]! T[6]!',
    { attributes: { activation: 'Relu', pads: [1, 1, 1, 1] } },
  ],
  [`${MS}TransposeMatMul`, 'T[2,3,4] T[2,5,4]', { attributes: { transB: 1 } }],
  [
    `${MS}GroupNorm`,
    'T[1,4,4,8] float32[8]! float32[8]!',
    { attributes: { groups: 2, activation: 0, channels_last: 1 } },
  ],
  [`${MS}BiasSoftmax`, 'T[2,3,8] T[2,3,8]', { attributes: { axis: 2, is_inner_broadcast: 1 } }],
  [`${MS}Inverse`, 'T[2,3,3]'],
  [`${MS}Trilu`, 'T[3,3]'],
  [`${MS}Unique`, 'T[4]', { types: ['float32'], outputs: ['T', 'int64', 'int64'] }],
  [`${MS}GridSample`, 'T[1,2,4,4] T[1,3,3,2]'],
  [`${MS}ExpandDims`, 'T[2,3] int32[]=1'],
  [
    `${MS}NhwcMaxPool`,
    'T[1,4,4,2]',
    { types: ['uint8', 'int8'], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  ],
  [
    `${MS}MoE`,
    'T[3,8] T[3,2] T[2,4,8]! _ T[2,8,4]!',
    { types: ['float32'], attributes: { k: 1, activation_type: 'relu' } },
  ],
];
