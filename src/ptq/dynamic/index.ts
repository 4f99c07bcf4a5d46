/** The operators that have a dynamic form, one file a family. */
import type { Node } from '../../graph/node.ts';
import { ATTENTION, EMBED_LAYER_NORMALIZATION } from './attention.ts';
import { CONV } from './conv.ts';
import type { DynamicForm } from './form.ts';
import { LSTM } from './lstm.ts';
import { GEMM, MATMUL } from './products.ts';
import { GATHER } from './tables.ts';

const FORMS: Readonly<Record<string, DynamicForm>> = {
  MatMul: MATMUL,
  Gemm: GEMM,
  Gather: GATHER,
  LSTM,
  Conv: CONV,
  'com.microsoft.Attention': ATTENTION,
  'com.microsoft.EmbedLayerNormalization': EMBED_LAYER_NORMALIZATION,
};

/** Operators with weights that have none, and why. */
const REASONS: Readonly<Record<string, string>> = {
  GRU: 'onnxruntime has no GRU that computes in integers',
  RNN: 'onnxruntime has no RNN that computes in integers',
  ConvTranspose: 'onnxruntime has no ConvTranspose that computes in integers',
};

/** The form of a node's operator, or why there is none. */
export function formOf({ qualifiedOp }: Node): DynamicForm | { readonly reason: string } {
  if (Object.hasOwn(FORMS, qualifiedOp)) return FORMS[qualifiedOp];
  return {
    reason: Object.hasOwn(REASONS, qualifiedOp)
      ? REASONS[qualifiedOp]
      : `${qualifiedOp} has no dynamic integer form here`,
  };
}
