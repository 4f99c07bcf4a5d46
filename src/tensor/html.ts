/** Tensors as HTML tables for notebook kernels: the last axis in columns, one row for each index of the others. */
import { dtypeInfo } from './dtype.ts';
import { axisIndices, cellFormat, printDefaults, type PrintOptions, type Printable } from './format.ts';
import { elementCount } from './shape.ts';
import { elementValues, type TensorParts } from './values.ts';

/** A table of a tensor's values, summarized as its printed form is. */
export function htmlTable(t: TensorParts, options: PrintOptions = {}): string {
  const values = { kind: dtypeInfo(t.dtype).kind, shape: t.shape, values: elementValues(t) };
  return htmlOf(values, `${t.dtype} [${t.shape.join(', ')}]`, options);
}

/** A table of printable values under a caption, which is escaped. */
export function htmlOf(printable: Printable, caption: string, options: PrintOptions = {}): string {
  const head = `<table><caption>${escapeHtml(caption)}</caption><tbody>`;
  return `${head}${tableRows(printable, options).join('')}</tbody></table>`;
}

function tableRows(printable: Printable, options: PrintOptions): string[] {
  const { shape, values } = printable;
  const count = elementCount(shape);
  if (count === 0) return [];
  const o = printDefaults(options);
  const cell = cellFormat(printable, o);
  const summarize = count > o.threshold;
  const columns = axisIndices(shape.at(-1) ?? 1, summarize, o.edgeItems);
  const width = shape.at(-1) ?? 1;
  return rowLabels(shape.slice(0, -1), summarize, o.edgeItems).map((label) => {
    if (label === undefined) return `<tr><th>…</th></tr>`;
    const first = flatIndex(label, shape) * width;
    const cells = columns.map((j) => td(j === undefined ? '…' : cell.format(values[first + j]).trim()));
    const head = label.length === 0 ? '' : `<th>${label.join(', ')}</th>`;
    return `<tr>${head}${cells.join('')}</tr>`;
  });
}

/** Index tuples of the rows that are shown, in order; undefined stands for a run that is left out. */
function rowLabels(
  shape: readonly number[],
  summarize: boolean,
  edge: number,
): (readonly number[] | undefined)[] {
  let labels: (readonly number[] | undefined)[] = [[]];
  for (const size of shape) {
    const indices = axisIndices(size, summarize, edge);
    labels = labels.flatMap((label) =>
      label === undefined
        ? [undefined]
        : indices.map((index) => (index === undefined ? undefined : label.concat(index))),
    );
  }
  return labels;
}

function flatIndex(label: readonly number[], shape: readonly number[]): number {
  return label.reduce((flat, index, axis) => flat * shape[axis] + index, 0);
}

function td(text: string): string {
  return `<td style="text-align:right">${escapeHtml(text)}</td>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text made safe inside an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]);
}
