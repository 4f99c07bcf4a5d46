/** Cuts a {@link Layout} into calls: pieces that fit the staging areas, windows of parameters that fit the tables. */
import type { Layout } from '../types.ts';

export interface Visitor {
  /** Most elements of a call. */
  readonly piece: number;
  /** Most parameters that the tables hold. */
  readonly maxParams: number;
  /** Fill the tables with parameters [from, from + count), `times` times one after the other. */
  open(from: number, count: number, times: number): void;
  /** `rows` runs of `cols` elements from element `start`, with the open parameters from `first` on, wrapping around. */
  rows(start: number, rows: number, cols: number, first: number, params: number): void;
  /** The same with the open parameters one a column. */
  columns(start: number, rows: number, cols: number): void;
  /** All elements of the open parameters are done. */
  close(from: number, count: number, times: number): void;
}

/** True for the layouts that {@link traverse} takes: parameters that repeat within a row, or rows that share whole runs. */
export function canTraverse({ pattern, cols, params }: Layout): boolean {
  return pattern === 'by-row' || cols % params === 0 || params % cols === 0;
}

export function traverse(layout: Layout, visitor: Visitor): void {
  const { rows, cols, params, pattern } = layout;
  if (rows === 0 || cols === 0) return;
  if (pattern === 'by-row') byRow(params === 1 ? { rows: 1, cols: rows * cols, params } : layout, visitor);
  else if (cols % params === 0) periodic(rows * cols, params, visitor);
  else byColumn(layout, visitor);
}

type Rows = Pick<Layout, 'rows' | 'cols' | 'params'>;

function byRow({ rows, cols, params }: Rows, visitor: Visitor): void {
  const used = Math.min(params, rows);
  if (used <= visitor.maxParams) {
    visitor.open(0, used, 1);
    pieces(0, rows, cols, visitor.piece, (start, count, width, row) =>
      visitor.rows(start, count, width, row % used, used),
    );
    visitor.close(0, used, 1);
    return;
  }
  for (let row = 0; row < rows;) {
    const from = row % params;
    const count = Math.min(visitor.maxParams, params - from, rows - row);
    visitor.open(from, count, 1);
    const base = row;
    pieces(base, count, cols, visitor.piece, (start, height, width, at) =>
      visitor.rows(start, height, width, at - base, count),
    );
    visitor.close(from, count, 1);
    row += count;
  }
}

/** Whole rows where they fit, else parts of a row. */
function pieces(
  firstRow: number,
  rows: number,
  cols: number,
  piece: number,
  call: (start: number, rows: number, cols: number, row: number) => void,
): void {
  const height = Math.max(1, Math.min(rows, Math.floor(piece / cols)));
  const width = Math.min(cols, piece);
  for (let row = firstRow; row < firstRow + rows; row += height) {
    for (let col = 0; col < cols; col += width) {
      const count = Math.min(height, firstRow + rows - row);
      call(row * cols + col, count, Math.min(width, cols - col), row);
    }
  }
}

const LANES = 16;
/** Columns that make the cost of starting a row, and of a rest below 16, small. */
const WIDE = 256;

/** Parameters that repeat every `unit` elements: repeated in the tables until they fill whole vectors. */
function periodic(elements: number, unit: number, visitor: Visitor): void {
  if (unit > Math.min(visitor.maxParams, visitor.piece)) {
    byColumn(
      { rows: elements / unit, cols: unit, params: unit, pattern: 'by-column', period: elements / unit },
      visitor,
    );
    return;
  }
  const times = repeats(Math.min(elements, visitor.piece), unit, visitor.maxParams);
  const cols = unit * times;
  const rows = Math.floor(elements / cols);
  visitor.open(0, unit, times);
  pieces(0, rows, cols, visitor.piece, (start, count, width) => visitor.columns(start, count, width));
  const rest = elements - rows * cols;
  if (rest > 0) visitor.columns(rows * cols, 1, rest);
  visitor.close(0, unit, times);
}

/** Repetitions of `unit` columns that give whole vectors and wide rows, as far as tables and elements allow. */
function repeats(elements: number, unit: number, maxParams: number): number {
  if (unit >= WIDE) return 1;
  const whole = LANES / greatestCommonDivisor(unit, LANES);
  const wanted = whole * Math.ceil(WIDE / (unit * whole));
  return unit * wanted <= Math.min(maxParams, elements) ? wanted : 1;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Groups of `period` rows that share a run of parameters, in tiles of columns that fit the tables. */
function byColumn({ rows, cols, params, period }: Layout, visitor: Visitor): void {
  for (let group = 0; group * period < rows; group++) {
    const firstRow = group * period;
    const count = Math.min(period, rows - firstRow);
    const from = (group * cols) % params;
    const tile = Math.min(cols, visitor.maxParams, visitor.piece);
    for (let col = 0; col < cols; col += tile) {
      const width = Math.min(tile, cols - col);
      visitor.open(from + col, width, 1);
      if (width === cols) {
        pieces(firstRow, count, cols, visitor.piece, (start, height) => visitor.columns(start, height, cols));
      } else {
        for (let row = firstRow; row < firstRow + count; row++) visitor.columns(row * cols + col, 1, width);
      }
      visitor.close(from + col, width, 1);
    }
  }
}
