/** The operators that have a dynamic form, one file a family. */
import type { Node } from '../../graph/node.ts';
import type { DynamicForm } from './form.ts';
import { GEMM, MATMUL } from './products.ts';
import { GATHER } from './tables.ts';

const FORMS: Readonly<Record<string, DynamicForm>> = { MatMul: MATMUL, Gemm: GEMM, Gather: GATHER };

/** The form of a node's operator; undefined if there is none. */
export function formOf({ qualifiedOp }: Node): DynamicForm | undefined {
  return Object.hasOwn(FORMS, qualifiedOp) ? FORMS[qualifiedOp] : undefined;
}
