/** Which nodes were quantized and which were not, grouped for people. */
import type { QuantizedNode, SkippedNode } from 'zeropoint/onnx';
import { counted, table } from '../table.ts';

/** Examples of nodes behind one reason. */
const EXAMPLES = 3;

export function nodeLines(quantized: readonly QuantizedNode[], skipped: readonly SkippedNode[]): string {
  const rows = [...groups(quantized, ({ opType }) => opType)].map(([op, nodes]) => [
    `  ${op}`,
    String(nodes.length),
  ]);
  const left = [...groups(skipped, ({ opType, reason }) => `${opType}: ${reason}`)].map(([reason, nodes]) => [
    `  ${reason}`,
    String(nodes.length),
    examples(nodes),
  ]);
  const title = `${counted(quantized.length, 'node')} quantized\n`;
  const rest =
    left.length === 0
      ? ''
      : `${counted(skipped.length, 'node')} left in float\n${table(left, ['left', 'right'])}`;
  return `${title}${table(rows, ['left', 'right'])}${rest}`;
}

function groups<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const result = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = result.get(key);
    if (group === undefined) result.set(key, [item]);
    else group.push(item);
  }
  return new Map([...result].toSorted((a, b) => b[1].length - a[1].length));
}

function examples(nodes: readonly SkippedNode[]): string {
  const shown = nodes.slice(0, EXAMPLES).map(({ node }) => node);
  return nodes.length > EXAMPLES ? `${shown.join(', ')}, ...` : shown.join(', ');
}
