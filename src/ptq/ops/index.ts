/** The one table from op type to policy. */
import { clampPolicy } from './clamp.ts';
import { convPolicy } from './conv.ts';
import { concatPolicy, movementPolicy } from './data-movement.ts';
import { elementwisePolicy } from './elementwise.ts';
import { gemmPolicy } from './gemm.ts';
import { matmulPolicy } from './matmul.ts';
import { averagePoolPolicy, maxPoolPolicy } from './pooling.ts';
import type { Node } from '../../graph/node.ts';
import type { OpPolicy } from './policy.ts';

const POLICIES: readonly OpPolicy[] = [
  convPolicy,
  gemmPolicy,
  matmulPolicy,
  elementwisePolicy,
  clampPolicy,
  maxPoolPolicy,
  averagePoolPolicy,
  movementPolicy,
  concatPolicy,
];

const BY_OP_TYPE = new Map(POLICIES.flatMap((policy) => policy.opTypes.map((op) => [op, policy] as const)));

/** The policy of a node, if its op is one of ours. */
export function policyOf(node: Node): OpPolicy | undefined {
  return node.domain === '' ? BY_OP_TYPE.get(node.opType) : undefined;
}

/** Op types that static quantization knows, sorted. */
export const STATIC_OP_TYPES: readonly string[] = [...BY_OP_TYPE.keys()].sort();
