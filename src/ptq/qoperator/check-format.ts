/** Whether a plan can be written in the form that is asked for. */
import { UnsupportedError } from '../../errors.ts';
import { codeDType } from '../observer-spec.ts';
import type { ObserverSpec, Plan } from '../plan.ts';
import { FORMS } from './forms.ts';

interface Form {
  readonly format?: 'qdq' | 'qoperator';
  readonly dedicatedPairs?: boolean;
}

/**
 * @throws UnsupportedError UNSUPPORTED_DTYPE for QOperator form with codes that have not 8 bits, or int8 activations with
 *   uint8 weights; TypeError for dedicated pairs where there are none
 */
export function checkFormat(plan: Plan, { format = 'qdq', dedicatedPairs = false }: Form): void {
  if (format === 'qdq') return;
  if (dedicatedPairs)
    throw new TypeError(
      "convert: expected format 'qdq' for dedicatedPairs, got 'qoperator', which has no pairs",
    );
  for (const { node, opType, activation, weight } of plan.nodes) {
    checkEightBits(node, activation);
    checkEightBits(node, weight);
    if (FORMS[opType]?.hasWeight) checkKernel(node, codeDType(activation), codeDType(weight));
  }
}

function checkKernel(node: string, activation: string, weight: string): void {
  if (activation !== 'int8' || weight !== 'uint8') return;
  throw new UnsupportedError(
    `convert: expected int8 weights beside int8 activations for QOperator form, got ${weight} at ${node}`,
    {
      code: 'UNSUPPORTED_DTYPE',
      hint: "No kernel takes int8 with uint8 weights: use int8 weights, uint8 activations, or format 'qdq'.",
      details: { node, activation, weight },
    },
  );
}

function checkEightBits(node: string, spec: ObserverSpec): void {
  const dtype = codeDType(spec);
  if (dtype === 'uint8' || dtype === 'int8') return;
  throw new UnsupportedError(
    `convert: expected codes of 8 bits for QOperator form, got ${dtype} at ${node}`,
    {
      code: 'UNSUPPORTED_DTYPE',
      hint: "Integer operators have 8 bits only: use format 'qdq', or 8-bit observers.",
      details: { node, dtype },
    },
  );
}
