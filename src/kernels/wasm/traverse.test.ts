import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Layout } from '../types.ts';
import { canTraverse, traverse } from './traverse.ts';

interface Limits {
  readonly piece: number;
  readonly maxParams: number;
}

/** The parameter that each element of a layout is visited with; checks that no call is larger than it may be. */
function visit(layout: Layout, { piece, maxParams }: Limits): number[] {
  const seen = Array.from({ length: layout.rows * layout.cols }, () => -1);
  let open: number[] = [];
  const mark = (element: number, param: number): void => {
    // A throw, since a million expectations take seconds.
    if (seen[element] !== -1) throw new Error(`element ${element} is visited twice`);
    seen[element] = open[param];
  };
  traverse(layout, {
    piece,
    maxParams,
    open(from, count, times) {
      expect(count * times).toBeLessThanOrEqual(maxParams);
      open = Array.from({ length: count * times }, (_, i) => from + (i % count));
    },
    rows(start, rows, cols, first, params) {
      expect(rows * cols).toBeLessThanOrEqual(piece);
      for (let i = 0; i < rows * cols; i++) mark(start + i, (first + Math.floor(i / cols)) % params);
    },
    columns(start, rows, cols) {
      expect(rows * cols).toBeLessThanOrEqual(piece);
      for (let i = 0; i < rows * cols; i++) mark(start + i, i % cols);
    },
    close() {},
  });
  return seen;
}

const size = fc.integer({ min: 1, max: 40 });
const limits = fc.record({ piece: size, maxParams: size });

it('visits each element once, with its parameter, whatever the sizes of pieces and tables', () => {
  fc.assert(
    fc.property(size, fc.integer({ min: 1, max: 6 }), size, limits, (groups, period, params, limit) => {
      const byColumn = { pattern: 'by-column', rows: groups * period, cols: params, params, period } as const;
      if (canTraverse(byColumn)) {
        expect(visit(byColumn, limit)).toEqual(
          Array.from({ length: byColumn.rows * params }, (_, i) => i % params),
        );
      }
      const byRow = { pattern: 'by-row', rows: groups, cols: period, params, period: 1 } as const;
      expect(visit(byRow, limit)).toEqual(
        Array.from({ length: groups * period }, (_, i) => Math.floor(i / period) % params),
      );
    }),
    { numRuns: 200 },
  );
});
