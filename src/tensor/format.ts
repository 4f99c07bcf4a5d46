/**
 * Tensors as PyTorch 2.13 prints them, to the character. One format for all elements, chosen from the finite values
 * other than 0 (of the shown part, if summarized):
 *   integers only: `1.`      otherwise: fixed decimals      scientific: max/min > 1000, max > 1e8 or min < 1e-4
 */
import { dtypeInfo, type DType } from './dtype.ts';
import { fixed, scientific } from './number-format.ts';
import { elementCount } from './shape.ts';
import { elementValues, type TensorParts } from './values.ts';

/** `torch.set_printoptions`, as an argument: there is no global state. */
export interface PrintOptions {
  /** Digits after the point. Default 4. */
  readonly precision?: number;
  /** Tensors with more elements are summarized. Default 1000. */
  readonly threshold?: number;
  /** Elements shown at each end of an axis of a summarized tensor. Default 3. */
  readonly edgeItems?: number;
  /** Characters in a line. Default 80. */
  readonly lineWidth?: number;
  /** Scientific notation always (true), never (false), or by the values (absent). */
  readonly sciMode?: boolean;
}

/** Options with their defaults filled in. */
export type FilledPrintOptions = Required<Omit<PrintOptions, 'sciMode'>> & Pick<PrintOptions, 'sciMode'>;

const DEFAULTS: Readonly<FilledPrintOptions> = Object.freeze({
  precision: 4,
  threshold: 1000,
  edgeItems: 3,
  lineWidth: 80,
});

/** `options` with PyTorch's defaults for what is absent. */
export function printDefaults(options: PrintOptions): FilledPrintOptions {
  return { ...DEFAULTS, ...options };
}

/** Values to print; `kind` says how. */
export interface Printable {
  readonly kind: 'float' | 'int' | 'bool';
  readonly shape: readonly number[];
  readonly values: ArrayLike<number> | ArrayLike<bigint>;
}

const PREFIX = 'tensor(';
/** Dtypes that go without saying. */
const UNNAMED: ReadonlySet<DType> = new Set<DType>(['float32', 'int64', 'bool']);

/**
 * `tensor([...])` as `str(torch_tensor)` writes it, with `size=` and `dtype=` where PyTorch has them.
 *
 * @example formatTensor(tensor([0.5, 1e-5]))   // tensor([5.0000e-01, 1.0000e-05])
 */
export function formatTensor(t: TensorParts, options: PrintOptions = {}): string {
  const o = printDefaults(options);
  const suffixes: string[] = [];
  const empty = elementCount(t.shape) === 0;
  if (empty ? t.shape.length !== 1 : o.edgeItems === 0) suffixes.push(`size=${sizeText(t.shape)}`);
  const named = empty ? t.dtype !== 'float32' : !UNNAMED.has(t.dtype);
  if (named) suffixes.push(`dtype=torch.${t.dtype}`);
  const values = { kind: dtypeInfo(t.dtype).kind, shape: t.shape, values: elementValues(t) };
  return formatPrintable(values, suffixes, options);
}

/** `tensor(` + values + suffixes + `)`, suffixes on a new line where the line would be too long. */
export function formatPrintable(
  values: Printable,
  suffixes: readonly string[],
  options: PrintOptions = {},
): string {
  const o = printDefaults(options);
  let text = PREFIX + formatValues(values, o);
  let lineLength = text.length - text.lastIndexOf('\n') + 1;
  for (const suffix of suffixes) {
    if (lineLength + suffix.length + 2 > o.lineWidth) {
      text += `,\n${' '.repeat(PREFIX.length)}${suffix}`;
      lineLength = PREFIX.length + suffix.length;
    } else {
      text += `, ${suffix}`;
      lineLength += suffix.length + 2;
    }
  }
  return `${text})`;
}

/** A shape as Python prints a tuple: `()`, `(3,)`, `(3, 2)`. */
export function sizeText(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
}

function formatValues(printable: Printable, o: FilledPrintOptions): string {
  const { shape, values } = printable;
  const count = elementCount(shape);
  if (count === 0) return '[]';
  const summarize = count > o.threshold;
  const cell = cellFormat(printable, o);
  const nested = (depth: number, first: number): string => {
    if (depth === shape.length) return cell.format(values[first]);
    const inner = elementCount(shape.slice(depth + 1));
    const innermost = depth === shape.length - 1;
    const dots = innermost && o.edgeItems > 0 ? ' ...' : '...';
    const parts = axisIndices(shape[depth], summarize, o.edgeItems).map((index) =>
      index === undefined ? dots : nested(depth + 1, first + index * inner),
    );
    const indent = PREFIX.length + depth;
    const line = ' '.repeat(indent + 1);
    if (!innermost) return `[${parts.join(`,${'\n'.repeat(shape.length - depth - 1)}${line}`)}]`;
    const perLine = Math.max(1, Math.floor((o.lineWidth - indent) / (cell.width + 2)));
    return `[${chunks(parts, perLine).join(`,\n${line}`)}]`;
  };
  return nested(0, 0);
}

/** Indices of an axis that are shown; undefined stands for the dots. */
export function axisIndices(size: number, summarize: boolean, edge: number): (number | undefined)[] {
  if (!summarize || (edge > 0 && size <= 2 * edge)) return Array.from({ length: size }, (_, i) => i);
  const ends = Array.from({ length: 2 * edge }, (_, i) => (i < edge ? i : size - 2 * edge + i));
  return [...ends.slice(0, edge), undefined, ...ends.slice(edge)];
}

/** Flat indices of the elements that are shown. */
function* shownIndices(shape: readonly number[], first: number, edge: number): Generator<number> {
  if (shape.length === 0) {
    yield first;
    return;
  }
  const inner = elementCount(shape.slice(1));
  for (const index of axisIndices(shape[0], true, edge)) {
    if (index !== undefined) yield* shownIndices(shape.slice(1), first + index * inner, edge);
  }
}

/** Joined runs of at most `size` items. */
function chunks(items: readonly string[], size: number): string[] {
  const result: string[] = [];
  for (let i = 0; i < items.length; i += size) result.push(items.slice(i, i + size).join(', '));
  return result;
}

/** How every element is written. */
export interface CellFormat {
  readonly width: number;
  readonly format: (value: number | bigint) => string;
}

/** The one format of all elements, chosen from those that are shown. */
export function cellFormat({ kind, shape, values }: Printable, o: FilledPrintOptions): CellFormat {
  const all = elementCount(shape) <= o.threshold;
  const shown = all
    ? Array.from(values as ArrayLike<number | bigint>)
    : Array.from(shownIndices(shape, 0, o.edgeItems), (i) => values[i]);
  // Float values are numbers: only 64-bit integers are bigints.
  if (kind === 'float') return floatFormat(shown as number[], o);
  const text = kind === 'int' ? String : boolText;
  return padded(text, longest(shown.map(text), 1));
}

function boolText(value: number | bigint): string {
  return Number(value) === 0 ? 'False' : 'True';
}

function floatFormat(values: readonly number[], o: FilledPrintOptions): CellFormat {
  const relevant = values.filter((value) => Number.isFinite(value) && value !== 0);
  if (relevant.length === 0) return padded(wholeText, 1);
  const whole = relevant.every(Number.isInteger);
  let min = Infinity;
  let max = 0;
  for (const value of relevant) {
    min = Math.min(min, Math.abs(value));
    max = Math.max(max, Math.abs(value));
  }
  const sci = o.sciMode ?? (max / min > 1000 || max > 1e8 || min < 1e-4);
  const text = sci
    ? (value: number): string => scientific(value, o.precision)
    : whole
      ? wholeText
      : (value: number): string => fixed(value, o.precision);
  return padded(text as (value: number | bigint) => string, longest(relevant.map(text), 1));
}

/** A whole float: `3.`, but `nan` and `inf`. */
function wholeText(value: number | bigint): string {
  const text = fixed(Number(value), 0);
  return Number.isFinite(value) ? `${text}.` : text;
}

function longest(texts: readonly string[], least: number): number {
  return texts.reduce((width, text) => Math.max(width, text.length), least);
}

function padded(text: (value: number | bigint) => string, width: number): CellFormat {
  return { width, format: (value) => text(value).padStart(width) };
}
