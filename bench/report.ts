/** The bench's results as a table on the terminal and as docs/performance.md. */
import { cpus } from 'node:os';
import type { Figure } from './measure.ts';

export type VariantName = 'arena' | 'arrays' | 'reference' | 'set' | 'torch';

export interface Row {
  readonly name: string;
  readonly size: number;
  readonly goals: { readonly arena?: number; readonly arrays?: number };
  readonly figures: Partial<Readonly<Record<VariantName, Figure>>>;
}

export interface OtherFigure {
  readonly name: string;
  readonly figure: string;
  readonly goal: string;
}

/** What a ratio is called, how many times as fast `of` is as `to`. */
const RATIOS = [
  { title: 'arena : torch', of: 'arena', to: 'torch' },
  { title: 'arrays : torch', of: 'arrays', to: 'torch' },
  { title: 'arena : set()', of: 'arena', to: 'set' },
  { title: 'arrays : set()', of: 'arrays', to: 'set' },
  { title: 'arrays : reference', of: 'arrays', to: 'reference' },
] as const;

const short = (value: number): string => value.toPrecision(value >= 100 ? 3 : 2);

/** Gigabytes of float32 values a second. */
function speed(row: Row, name: VariantName): string {
  const figure = row.figures[name];
  return figure === undefined ? '-' : short((row.size * 4) / figure.seconds / 1e9);
}

function ratio(row: Row, of: VariantName, to: VariantName): number | undefined {
  const [a, b] = [row.figures[of], row.figures[to]];
  return a === undefined || b === undefined ? undefined : b.seconds / a.seconds;
}

/** The ratio with its goal: `9.1 (≥ 8)`, `5.9 (missed ≥ 6.5)`. */
function ratioCell(row: Row, { of, to }: (typeof RATIOS)[number]): string {
  const value = ratio(row, of, to);
  if (value === undefined) return '-';
  const goal = to === 'torch' ? row.goals[of] : undefined;
  if (goal === undefined) return short(value);
  return `${short(value)} (${value >= goal ? '' : 'missed '}≥ ${goal})`;
}

const NAMES = ['arena', 'arrays', 'reference', 'set', 'torch'] as const;

/** Largest spread of the variants with goals, in percent. */
function spread(row: Row): string {
  const spreads = (['arena', 'arrays', 'torch'] as const).map((name) => row.figures[name]?.spread ?? 0);
  return `${Math.round(Math.max(...spreads) * 100)} %`;
}

const COLUMNS = [
  'kernel',
  ...NAMES.map((name) => `${name} GB/s`),
  ...RATIOS.map(({ title }) => title),
  'spread',
];

function cells(row: Row): string[] {
  return [
    row.name,
    ...NAMES.map((name) => speed(row, name)),
    ...RATIOS.map((entry) => ratioCell(row, entry)),
    spread(row),
  ];
}

const WIDTHS = COLUMNS.map((title, i) => (i === 0 ? 44 : Math.max(title.length, i > 5 && i < 8 ? 20 : 9)));

const line = (texts: readonly string[]): string =>
  texts.map((text, i) => (i === 0 ? text.padEnd(WIDTHS[i]) : text.padStart(WIDTHS[i]))).join('  ');

export function printTitle(size: number): void {
  console.log(`\n${size.toExponential(0).replace('+', '')} values`);
  console.log(line(COLUMNS));
}

export function printRow(row: Row): void {
  console.log(line(cells(row)));
}

const tableLine = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;

function table(rows: readonly Row[]): string {
  return [
    tableLine(COLUMNS),
    tableLine(COLUMNS.map((_, i) => (i === 0 ? '---' : '--:'))),
    ...rows.map((row) => tableLine(cells(row))),
  ].join('\n');
}

/** The text of docs/performance.md. */
export function performanceDocument(
  rows: readonly Row[],
  others: readonly OtherFigure[],
  torchVersion: string | undefined,
): string {
  const sizes = [...new Set(rows.map(({ size }) => size))];
  const [cpu] = cpus();
  return `# Performance

Written by \`npm run bench -- --write\`; do not edit. Measured with Node ${process.versions.node} (V8 ${process.versions.v8}), \
${process.platform} ${process.arch}, ${cpu?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores\
${torchVersion === undefined ? '; no torch' : `, torch ${torchVersion} with one thread`}.

- **arena**: tensors of \`createArena()\`, on which the kernels work in place. **arrays**: ordinary typed arrays, result in a
  given \`out\`. **reference**: the readable TypeScript loops that define the results, over ordinary arrays. **set()**: a copy
  of the input by \`Float32Array.set\`, the limit for ordinary arrays. **torch**: allocates its result on every call, as its users have it.
- GB/s are bytes of float32 values (4 · n) a second, whatever else is read or written. Ratios say how many times as fast the
  first is. A goal stands behind the ratio it belongs to.
- The variants of a row take turns in short windows; a figure is the median of the faster half of a variant's windows.
  *spread* is what that half covers at most, of arena, arrays and torch: more than some percent
  comes from a machine that others used, too.
- 1e4 and 1e6 values (4 MB) are in cache, 1e7 (40 MB) partly in memory.

${sizes.map((size) => `## ${size.toExponential(0).replace('+', '')} values\n\n${table(rows.filter((row) => row.size === size))}`).join('\n\n')}

## Others

| what | measured | goal |
| --- | --: | --: |
${others.map(({ name, figure, goal }) => tableLine([name, figure, goal])).join('\n')}

## What to do with it

- Tensors that are used more than once belong into an arena: results are the same, and nothing is copied.
- Give \`out\`: a new result of 400 MB costs 0.2 s by itself, because the system has to clear its pages; kernels need 0.02 s.
- The kernels use one thread. Threads begin to pay at 1e6 values for the cheap kernels, and only for tensors that lie in
  shared memory already; for ordinary arrays the copy eats the gain.

## Tried and rejected

| idea | measured | where |
| --- | --- | --- |
${REJECTED.map((cell) => tableLine(cell)).join('\n')}
`;
}

/** What was tried, what it gave (GB/s of float32 at 1e6 values in an arena, if nothing else is said), where the code is. */
const REJECTED: readonly (readonly [string, string, string])[] = [
  [
    'Loop constants as splats',
    'quantize 22.6; 31 through memory: V8 puts splats into the loop',
    '`common.ts`',
  ],
  [
    'Rounding rule as a constant argument',
    'quantize 20; 28 as a type: the compiler leaves the branches in the loop',
    '`common.ts`',
  ],
  [
    'NaN by a comparison and a mask for each vector',
    'fake-quantize 17, 25 by an OR over the run',
    '`fake-quantize.ts`',
  ],
  [
    'NaN by a sum, or by an OR, over the run of 8-bit codes',
    'quantize 28.4 and 29.4; 31.4 by a maximum of the 16-bit codes (1e5 values)',
    '`quantize.ts`',
  ],
  [
    '`torch-2.13` rule in float32, exact only near ties',
    '12.8 instead of 10.8: not worth its code',
    '`common.ts`',
  ],
  [
    '`f32x4.min` and `max`',
    'min/max 11.5; 39 by `pmin` and `pmax` with a comparison for NaN',
    '`extremes.ts`',
  ],
  [
    'Histogram in one phase, or in 2 to 8 tables',
    '3.7 and 3.8; 4.7 in two phases with one table',
    '`histogram.ts`',
  ],
  [
    'Scale and codes of a block at once',
    'pack 4 bits 6.1 with branches, 8.3 without; 15 in batches of 32 blocks (64: 14.5, 128: 12.4), 17 with integer magnitudes',
    '`blocks.ts`',
  ],
  [
    'Zero point of 8-bit codes taken off in float32',
    'dequantize 28; 33 in 16-bit integers',
    '`dequantize.ts`',
  ],
  [
    'Copying the whole tensor to WebAssembly memory',
    'quantize over arrays 6.3 at 1e7, 9 in pieces of 64 KiB',
    '`operand.ts`',
  ],
  [
    'Pieces of 4 KiB for all kernels',
    'at 1e7 over arrays: quantize 7.5 instead of 8.9, min/max 16.8 instead of 12.2, which therefore has them',
    '`operand.ts`',
  ],
  ['The reference below 32 elements', 'saves at most 0.3 µs a call: not worth a second path', '`operand.ts`'],
  [
    'Relaxed SIMD',
    'off in Node 20, and fusing is up to the processor: the same input would not give the same bytes',
    '`common.ts`',
  ],
];
