/** Which nodes were quantized and which were not, grouped for people. */
import type { Float16Report, QuantizationReport, QuantizedNode, SkippedNode } from 'zeropoint/onnx';
import { counted, integer, table } from '../table.ts';

/** What a report or a plan says of the nodes of a model. */
type Nodes = Pick<QuantizationReport, 'quantized' | 'skipped' | 'keptPairs'>;

/** Operators listed behind one reason. */
const LISTED = 6;

/** Quantized nodes by operator; those that QOperator form has no operator for, and the others, by reason. */
export function nodeLines({ quantized, skipped, keptPairs }: Nodes): string {
  const done = tally(quantized).map(([op, count]) => [`  ${op}`, integer(count)]);
  const head = `${counted(quantized.length, 'node')} quantized\n`;
  return [head, table(done, ['left', 'right']), keptLines(keptPairs), skippedLines(skipped, 'float')].join(
    '',
  );
}

/** What a conversion to 16 bits did: how many nodes, and which not. */
export function halfLines({ converted, dtype, skipped }: Float16Report): string {
  return `${counted(converted, 'node')} in ${dtype}\n${skippedLines(skipped, 'float32')}`;
}

/** QOperator form: quantized nodes without an integer operator, by reason. */
function keptLines(keptPairs: readonly SkippedNode[] = []): string {
  return reasonLines(keptPairs, 'of them left between pairs');
}

function skippedLines(skipped: readonly SkippedNode[], left: string): string {
  return reasonLines(skipped, `left in ${left}`);
}

function reasonLines(nodes: readonly SkippedNode[], what: string): string {
  if (nodes.length === 0) return '';
  const rows = byReason(nodes).map(([reason, those]) => [`  ${reason}`, operators(those)]);
  return `${counted(nodes.length, 'node')} ${what}\n${table(rows)}`;
}

/** Reasons, most nodes first. They name the operator, which would make one reason many. */
function byReason(skipped: readonly SkippedNode[]): readonly (readonly [string, readonly SkippedNode[]])[] {
  const groups = new Map<string, SkippedNode[]>();
  for (const node of skipped) {
    const reason = node.reason.replaceAll(node.opType, 'it');
    groups.set(reason, [...(groups.get(reason) ?? []), node]);
  }
  return [...groups].toSorted((a, b) => b[1].length - a[1].length);
}

/** `Add 29, Shape 15, 4 other operators` */
function operators(nodes: readonly SkippedNode[]): string {
  const counts = tally(nodes);
  const shown = counts.slice(0, LISTED).map(([op, count]) => `${op} ${integer(count)}`);
  const rest = counts.length - shown.length;
  return [...shown, ...(rest === 0 ? [] : [counted(rest, 'other operator')])].join(', ');
}

function tally(nodes: readonly QuantizedNode[]): readonly (readonly [op: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const { opType } of nodes) counts.set(opType, (counts.get(opType) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1]);
}
