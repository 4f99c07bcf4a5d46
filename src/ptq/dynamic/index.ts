/** The operators that have a dynamic form, one file a family. */
import type { Node } from '../../graph/node.ts';
import { ATTENTION, EMBED_LAYER_NORMALIZATION } from './attention.ts';
import { CONV } from './conv.ts';
import type { DynamicForm } from './form.ts';
import { LSTM } from './lstm.ts';
import { GEMM, MATMUL } from './products.ts';
import { ONNXRUNTIME_FORMS } from './onnxruntime-forms.ts';
import { GATHER } from './tables.ts';

/**
 * - `zeropoint`: every chain is the fastest of the right ones, and values that are not multiplied stay float.
 * - `onnxruntime`: what the Python quantizer of onnxruntime writes (onnxruntime-forms.ts), to have files as they were.
 */
export type DynamicRules = 'zeropoint' | 'onnxruntime';

const OWN_FORMS: Readonly<Record<string, DynamicForm>> = {
  MatMul: MATMUL,
  Gemm: GEMM,
  Gather: GATHER,
  LSTM,
  Conv: CONV,
  'com.microsoft.Attention': ATTENTION,
  'com.microsoft.EmbedLayerNormalization': EMBED_LAYER_NORMALIZATION,
};

const FORMS = {
  zeropoint: OWN_FORMS,
  onnxruntime: ONNXRUNTIME_FORMS,
} as const satisfies Record<DynamicRules, Readonly<Record<string, DynamicForm>>>;

/** Names of the rules. */
export const DYNAMIC_RULES = Object.keys(FORMS);

/** Operators with weights that have none, and why. */
const REASONS: Readonly<Record<string, string>> = {
  GRU: 'onnxruntime has no GRU that computes in integers',
  RNN: 'onnxruntime has no RNN that computes in integers',
  ConvTranspose: 'onnxruntime has no ConvTranspose that computes in integers',
};

/** The form of a node's operator, or why there is none. */
export function formOf(
  { qualifiedOp }: Node,
  rules: DynamicRules,
): DynamicForm | { readonly reason: string } {
  const forms: Readonly<Record<string, DynamicForm>> = FORMS[rules];
  if (Object.hasOwn(forms, qualifiedOp)) return forms[qualifiedOp];
  return {
    reason: Object.hasOwn(REASONS, qualifiedOp)
      ? REASONS[qualifiedOp]
      : `${qualifiedOp} has no dynamic integer form here`,
  };
}
