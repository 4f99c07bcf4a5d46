/**
 * What onnxruntime's Python quantizer does otherwise than zeropoint, measured: each line is both sides on the same model and
 * data, in this run. Times are the least processor time of a run in onnxruntime-node with all optimizations, on one thread,
 * the models of a line in turn.
 *
 *   python bench/peer/models.py FOLDER resnet18 minilm
 *   npx tsx --tsconfig tsconfig.run.json bench/differences.ts FOLDER [--only WORD] [--write]
 *
 * after a build. Python: ZEROPOINT_PYTHON, else .venv/bin/python, with onnxruntime, onnx and torch. `--only gptq` takes the
 * lines whose case has that name; `--write` puts the table into docs/onnxruntime-differences.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DEFAULTS } from './differences/defaults.ts';
import { RANGES } from './differences/ranges.ts';
import { WEIGHTS } from './differences/weights.ts';
import { Workshop, type Row } from './differences/workshop.ts';

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = process.env.ZEROPOINT_PYTHON ?? local('../.venv/bin/python');
const PAGE = local('../docs/onnxruntime-differences.md');
const MARKERS = ['<!-- figures -->', '<!-- end of figures -->'] as const;

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').trim();
const line = ({ what, theirs, ours }: Row): string => `| ${[what, theirs, ours].map(cell).join(' | ')} |`;

/** The page with what stands between its markers replaced. */
function withFigures(page: string, figures: string): string {
  const [start, end] = MARKERS.map((marker) => page.indexOf(marker));
  if (start < 0 || end < start)
    throw new Error(`${PAGE}: expected ${MARKERS.join(' and ')}, got a page without`);
  return `${page.slice(0, start)}${MARKERS[0]}\n\n${figures}\n\n${page.slice(end)}`;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, write: { type: 'boolean' } },
});
const [folder] = positionals;
if (folder === undefined || !existsSync(folder) || !existsSync(PYTHON)) {
  console.error(
    `differences: expected the folder of models.py and Python at ${PYTHON}, got ${String(folder)}`,
  );
  process.exit(2);
}
const rows: Row[] = [{ what: 'what', theirs: 'onnxruntime 1.30, Python quantizer', ours: 'zeropoint' }];
const shop = new Workshop(PYTHON, folder);
try {
  for (const measure of [...RANGES, ...WEIGHTS, ...DEFAULTS]) {
    if (values.only !== undefined && measure.name !== values.only) continue;
    rows.push(await measure(shop));
    console.log(line(rows[rows.length - 1]));
  }
} finally {
  shop.dispose();
}
if (values.write === true) {
  const [head, ...body] = rows.map(line);
  const table = [head, '|---|---|---|', ...body].join('\n');
  const place = `${cpus().length} cores, ${cpus()[0]?.model.trim() ?? 'unknown processor'}.`;
  writeFileSync(PAGE, withFigures(readFileSync(PAGE, 'utf8'), `${place}\n\n${table}`));
}
