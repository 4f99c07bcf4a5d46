/** What a model must not be when quantization starts. */
import { GraphError } from '../errors.ts';
import type { Model } from '../graph/model.ts';

const QUANTIZED_OPS =
  /^(QuantizeLinear|DynamicQuantizeLinear|MatMulInteger|ConvInteger|QLinear.+|QGemm|MatMulNBits)$/;

/** @throws GraphError GRAPH_NOT_QUANTIZABLE if the model holds integer arithmetic already. */
export function checkNotQuantized(model: Model): void {
  for (const node of model.graph.allNodes()) {
    if (!QUANTIZED_OPS.test(node.opType)) continue;
    throw new GraphError(`quantize: expected a float model, got one that is quantized (${node.label})`, {
      code: 'GRAPH_NOT_QUANTIZABLE',
      hint: 'Start from the float model that this file was made from.',
      details: { node: node.label, opType: node.opType },
    });
  }
}
