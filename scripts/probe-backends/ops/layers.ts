/** Products, convolutions, pools, normalizations, recurrent layers, control flow. */
import { attr, type AttributeInput, type GraphBuilder, type Value } from 'zeropoint/onnx';
import { tensor } from 'zeropoint';
import { ALL_FLOATS, each, FLOATS, type Row } from '../row.ts';

const POOL = { kernel_shape: [2, 2], strides: [2, 2] } as const;
const WITH_CODES = [...FLOATS, 'int8', 'uint8'] as const;

export const LAYERS: readonly Row[] = [
  ['MatMul', 'T[2,3,4] T[4,5]!', { types: [...ALL_FLOATS, 'int32', 'int64'] }],
  ['Gemm', 'T[3,4] T[5,4]! T[5]!', { attributes: { transB: 1 }, types: ALL_FLOATS }],
  ['Einsum', 'T[2,3,4] T[2,4,5]', { attributes: { equation: 'bij,bjk->bik' } }],
  ['Det', 'T[2,3,3]'],
  ['Conv', 'T[1,4,9] T[6,4,3]! T[6]!', { attributes: { pads: [1, 1] } }],
  ['Conv', 'T[1,4,9,9] T[6,4,3,3]! T[6]!', { attributes: { pads: [1, 1, 1, 1] }, types: ALL_FLOATS }],
  ['Conv', 'T[1,4,5,5,5] T[6,4,3,3,3]! T[6]!', { attributes: { pads: [1, 1, 1, 1, 1, 1] } }],
  ['ConvTranspose', 'T[1,4,9] T[4,6,3]! T[6]!', { attributes: { strides: [2] } }],
  ['ConvTranspose', 'T[1,4,6,6] T[4,6,3,3]! T[6]!', { attributes: { strides: [2, 2] } }],
  ['ConvTranspose', 'T[1,4,4,4,4] T[4,6,3,3,3]! T[6]!', { attributes: { strides: [2, 2, 2] } }],
  ['MaxPool', 'T[1,3,8]', { attributes: { kernel_shape: [2], strides: [2] } }],
  ['MaxPool', 'T[1,3,8,8]', { attributes: POOL, types: WITH_CODES }],
  ['MaxPool', 'T[1,3,4,4,4]', { attributes: { kernel_shape: [2, 2, 2], strides: [2, 2, 2] } }],
  ['AveragePool', 'T[1,3,8]', { attributes: { kernel_shape: [2], strides: [2] } }],
  ['AveragePool', 'T[1,3,8,8]', { attributes: POOL }],
  ['AveragePool', 'T[1,3,4,4,4]', { attributes: { kernel_shape: [2, 2, 2], strides: [2, 2, 2] } }],
  ['LpPool', 'T[1,3,8,8]', { attributes: POOL }],
  ...each('GlobalAveragePool GlobalMaxPool GlobalLpPool', 'T[1,3,8,8]'),
  ['BatchNormalization', 'T[1,3,4,4] T[3]! T[3]! T[3]! T[3]!+'],
  ['InstanceNormalization', 'T[1,3,4,4] T[3]! T[3]!'],
  ['LayerNormalization', 'T[2,3,8] T[8]! T[8]!', { types: ALL_FLOATS }],
  ['GroupNormalization', 'T[1,4,4,4] T[2]! T[2]!', { attributes: { num_groups: 2 }, below: 21 }],
  ['GroupNormalization', 'T[1,4,4,4] T[4]! T[4]!', { attributes: { num_groups: 2 }, from: 21 }],
  ['RMSNormalization', 'T[2,3,8] T[8]!'],
  ['MeanVarianceNormalization', 'T[1,3,4,4]'],
  ['LpNormalization', 'T[2,3,8]'],
  ['LRN', 'T[1,5,4,4]', { attributes: { size: 3 } }],
  ['Dropout', 'T[2,3,4]'],
  ['LSTM', 'T[3,2,4] T[1,12,4]! T[1,12,3]! T[1,24]!', { attributes: { hidden_size: 3 } }],
  [
    'GRU',
    'T[3,2,4] T[1,9,4]! T[1,9,3]! T[1,18]!',
    { attributes: { hidden_size: 3, linear_before_reset: 1 } },
  ],
  ['RNN', 'T[3,2,4] T[1,3,4]! T[1,3,3]! T[1,6]!', { attributes: { hidden_size: 3 } }],
  ['Attention', 'T[2,2,3,4] T[2,2,3,4] T[2,2,3,4]'],
  ['RotaryEmbedding', 'T[1,2,3,4] T[3,2]! T[3,2]! int64[1,3]=0,1,2'],
  ['GridSample', 'T[1,2,4,4] T[1,3,3,2]', { attributes: { mode: 'bilinear' }, below: 20 }],
  ['GridSample', 'T[1,2,4,4] T[1,3,3,2]', { attributes: { mode: 'linear' }, from: 20 }],
  ['AffineGrid', 'T[1,2,3] int64[4]=1,1,3,3'],
  ['RoiAlign', 'T[1,2,8,8] T[1,4]=0,0,4,4 int64[1]=0', { attributes: { output_height: 2, output_width: 2 } }],
  ['MaxRoiPool', 'T[1,2,8,8] T[1,5]=0,0,0,4,4', { attributes: { pooled_shape: [2, 2] } }],
  [
    'NonMaxSuppression',
    'float32[1,3,4]=0,0,1,1,0,0,1,1.1,2,2,3,3 float32[1,1,3]=0.9,0.8,0.7 int64[1]=3 float32[1]=0.5 float32[1]=0.1',
    { types: ['float32'], outputs: ['int64'] },
  ],
  ['STFT', 'T[1,16,1] int64[]=4 T[8]! int64[]=8', { types: ['float32', 'float64'] }],
  ['DFT', 'T[1,8,1]', { below: 20, types: ['float32', 'float64'] }],
  ['DFT', 'T[1,8,1] _ int64[]=1', { from: 20, types: ['float32', 'float64'] }],
  [
    'MelWeightMatrix',
    'int64[]=4 int64[]=16 int64[]=8000 float32[]=100 float32[]=3000',
    { types: ['float32'] },
  ],
  ...each('HannWindow HammingWindow BlackmanWindow', 'int64[]=8', { types: ['float32'] }),
  ['If', 'bool[] float32[2]', { types: ['float32'], bodies: branches }],
  ['Loop', 'int64[]=3 bool[]=1 float32[2]', { types: ['float32'], bodies: loopBody }],
  [
    'Scan',
    'float32[2] float32[3,2]',
    { types: ['float32'], from: 9, outputs: ['float32', 'float32'], bodies: scanBody },
  ],
];

function branches(builder: GraphBuilder, [, x]: readonly Value[]): Record<string, AttributeInput> {
  const branch = (name: string, op: string): AttributeInput =>
    attr.graph(builder.body(name, (b) => b.output(b.op(op, [x]), `${name}_y`, 'float32', [2])));
  return { then_branch: branch('then', 'Neg'), else_branch: branch('else', 'Abs') };
}

function loopBody(builder: GraphBuilder): Record<string, AttributeInput> {
  const body = builder.body('body', (b) => {
    b.input('i', 'int64', []);
    const go = b.input('go', 'bool', []);
    const state = b.input('state', 'float32', [2]);
    b.output(b.op('Identity', [go]), 'go_on', 'bool', []);
    b.output(
      b.op('Add', [state, b.constant('one', tensor(Float32Array.of(1)))]),
      'state_out',
      'float32',
      [2],
    );
  });
  return { body: attr.graph(body) };
}

function scanBody(builder: GraphBuilder): Record<string, AttributeInput> {
  const body = builder.body('body', (b) => {
    const [state, x] = [b.input('state', 'float32', [2]), b.input('x_i', 'float32', [2])];
    b.output(b.op('Add', [state, x]), 'state_out', 'float32', [2]);
    b.output(b.op('Mul', [state, x]), 'y_i', 'float32', [2]);
  });
  return { body: attr.graph(body), num_scan_inputs: 1 };
}
