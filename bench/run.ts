/**
 * `npm run bench`: every kernel over arenas and ordinary arrays against the reference, `set()` (the copy limit) and,
 * where Python is set up, torch with one thread; ratios from one run, compared with the goals.
 *
 *   npm run bench -- [--write] [--sizes 10000,1000000] [--only quantize] [--rounds 9]
 *
 * `--write` writes docs/performance.md.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CASES, SHAPES, sink, type Case, type Place } from './cases.ts';
import { builtKernels } from './kernels.ts';
import { measure, type Variant } from './measure.ts';
import { measureOthers } from './others.ts';
import { performanceDocument, printRow, printTitle, type Row, type VariantName } from './report.ts';
import { startTorch, type Torch } from './torch.ts';

const { values: options } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '10000,1000000,10000000' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '9' },
  },
});

const WINDOW_SECONDS = 0.04;
const ARENA_BYTES = 2 ** 28;

const ORDINARY: Place = {
  float32: (length) => new Float32Array(length),
  int8: (length) => new Int8Array(length),
  uint8: (length) => new Uint8Array(length),
  uint16: (length) => new Uint16Array(length),
};

const { createArena, ...built } = await builtKernels();
const WASM = { ...built.wasmKernels, ...built.wasmWeightKernels };
const REFERENCE = { ...built.referenceKernels, ...built.referenceWeightKernels };
const arena = createArena({ bytes: ARENA_BYTES });
const ARENA: Place = {
  float32: (length) => arena.tensor('float32', [length]).data,
  int8: (length) => arena.tensor('int8', [length]).data,
  uint8: (length) => arena.tensor('uint8', [length]).data,
  uint16: (length) => arena.tensor('uint16', [length]).data,
};

/** Sums of four uniform values, about normal with deviation 2.3, from a seeded generator. */
function fillNormal(x: Float32Array): Float32Array {
  let state = 1;
  for (let i = 0; i < x.length; i++) {
    let sum = 0;
    for (let j = 0; j < 4; j++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      sum += state;
    }
    x[i] = sum * 2 ** -31 * 4;
  }
  return x;
}

async function measureCase(
  entry: Case,
  size: number,
  torch: Torch | undefined,
  rounds: number,
): Promise<Row> {
  const shape = SHAPES[size];
  arena.reset();
  const inArena = fillNormal(ARENA.float32(size));
  const x = fillNormal(ORDINARY.float32(size));
  const copy = new Float32Array(size);
  const variants: Partial<Record<VariantName, Variant>> = {
    arena: entry.prepare(WASM, inArena, shape, ARENA),
    arrays: entry.prepare(WASM, x, shape, ORDINARY),
    set: () => copy.set(x),
  };
  if (torch !== undefined) {
    variants.torch = { ask: (seconds) => torch.time(entry.torch, [shape.rows, shape.cols], seconds) };
  }
  const figures = await measure(variants, { rounds, windowSeconds: WINDOW_SECONDS });
  // By itself and with fewer rounds: it is slow, and its ratio is not a goal.
  const reference = await measure(
    { reference: entry.prepare(REFERENCE, x, shape, ORDINARY) },
    { rounds: 2, windowSeconds: WINDOW_SECONDS },
  );
  return {
    name: entry.name,
    size,
    goals: size === 1e6 ? entry.goals : {},
    figures: { ...figures, ...reference },
  };
}

const torch = await startTorch();
if (torch === undefined) console.error('no Python with torch (ZEROPOINT_PYTHON): comparing without it');
const rows: Row[] = [];
for (const size of options.sizes.split(',').map(Number)) {
  if (!(size in SHAPES))
    throw new RangeError(`--sizes: expected some of ${Object.keys(SHAPES)}, got ${size}`);
  printTitle(size);
  for (const entry of CASES.filter(({ name }) => name.includes(options.only))) {
    const row = await measureCase(entry, size, torch, Number(options.rounds));
    rows.push(row);
    printRow(row);
  }
}
const others = options.only === '' ? await measureOthers(torch, fillNormal(new Float32Array(1e6))) : [];
for (const { name, figure, goal } of others) console.log(`${name}: ${figure} (goal: ${goal})`);
torch?.close();
if (options.write) {
  const path = new URL('../docs/performance.md', import.meta.url);
  writeFileSync(path, performanceDocument(rows, others, torch?.version));
  console.log('written: docs/performance.md');
}
if (Number.isNaN(sink.value)) console.log('sink: NaN');
