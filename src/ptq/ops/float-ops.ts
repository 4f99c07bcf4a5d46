/**
 * Ops that stay in float, with the reason. onnxruntime 1.30 leaves DequantizeLinear → op → QuantizeLinear standing around
 * these (measured on optimized graphs, see docs/ops.md): quantizing their inputs and outputs costs time and accuracy.
 */

const NO_KERNEL = 'onnxruntime has no integer kernel for it';
const STATISTICS = 'its sums need float, and onnxruntime has no integer kernel for it';

function rows(ops: string, reason: string): Record<string, string> {
  return Object.fromEntries(ops.split(' ').map((op) => [op, reason]));
}

/** Operators of the default domain → why they stay in float. */
export const FLOAT_OPS: Readonly<Record<string, string>> = {
  ...rows('Sub Div Min Max Sum Mean Pow Neg Abs Exp Log Sqrt Reciprocal Sign Floor Ceil Round', NO_KERNEL),
  ...rows('Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Shrink ThresholdedRelu Trilu', NO_KERNEL),
  ...rows('Tanh Erf Gelu HardSigmoid HardSwish Elu Selu Celu Mish Softplus Softsign PRelu', NO_KERNEL),
  ...rows(
    'LogSoftmax Einsum GatherND ScatterND ScatterElements SpaceToDepth ReverseSequence CumSum TopK',
    NO_KERNEL,
  ),
  ...rows('GlobalMaxPool LpPool GlobalLpPool GridSample RoiAlign Upsample', NO_KERNEL),
  ...rows('LayerNormalization InstanceNormalization BatchNormalization GroupNormalization', STATISTICS),
  ...rows('RMSNormalization LpNormalization LRN MeanVarianceNormalization', STATISTICS),
  ...rows(
    'ReduceMean ReduceSum ReduceSumSquare ReduceL1 ReduceL2 ReduceProd ReduceLogSum ReduceLogSumExp',
    STATISTICS,
  ),
  ...rows('ArgMax ArgMin', 'it gives positions; where its input has codes, onnxruntime compares those'),
  ...rows(
    'LSTM GRU RNN',
    'its state runs through it in float; dynamic quantization has a form for its weights',
  ),
};
