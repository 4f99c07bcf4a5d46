/** Public names of the quant layer. */
export { dequantize } from './dequantize.ts';
export {
  fakeQuantizeBackward,
  fakeQuantizePerBlockAffine,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  type FakeQuantizeOptions,
  type FakeQuantizePerBlockOptions,
  type FakeQuantizePerChannelOptions,
} from './fake-quantize.ts';
export {
  fakeQuantizeLearnablePerChannelAffine,
  fakeQuantizeLearnablePerChannelAffineBackward,
  fakeQuantizeLearnablePerTensorAffine,
  fakeQuantizeLearnablePerTensorAffineBackward,
  type LearnableBackwardOptions,
  type LearnableGradients,
} from './fake-quantize-learnable.ts';
export { quantizedTensorFromCodes, type CodeParams } from './from-codes.ts';
export { cosineSimilarity, normalizedL2Error, sqnr, type Comparable } from './metrics.ts';
export {
  calculateQParams,
  chooseQParams,
  type QParamsOptions,
  type QParamsRule,
  type ScaleAndZeroPoint,
  type SymmetricRule,
} from './qparams.ts';
export { quantRange, type QuantRange, type QuantRangeOptions } from './quant-range.ts';
export { quantizePerTensorDynamic, type QuantizeDynamicOptions } from './quantize-dynamic.ts';
export {
  quantizePerBlock,
  quantizePerChannel,
  quantizePerTensor,
  type BlockAxis,
  type QuantizeOptions,
  type QuantizePerBlockOptions,
  type QuantizePerChannelOptions,
} from './quantize.ts';
export { QuantizedTensor, type DequantizeOptions, type QuantizedTensorInit } from './quantized-tensor.ts';
export type { Granularity, Numerics, ParamValues, QParams, QScheme, TensorQScheme } from './types.ts';
