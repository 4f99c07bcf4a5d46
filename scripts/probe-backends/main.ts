/**
 * Makes the table of what onnxruntime runs where, from one-op models that are loaded and run:
 *
 *     npm run probe                          all of it
 *     npm run probe -- Conv,MatMul           prints what it finds for these
 *     npm run probe -- Conv,MatMul --write   makes their rows anew, in the table that is there
 *
 * in onnxruntime-node on the CPU, in onnxruntime-web as WebAssembly (in Node: pages load the same file), and in the build of
 * onnxruntime-web with WebGPU, on its CPU and on WebGPU, in headless Chromium with SwiftShader. Writes src/presets/backends/onnxruntime-<version>.generated.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOrtWeb } from '../../src/cli/browser/find-browser.ts';
import { CHECK_TARGETS, type BackendTable, type ProbedBackend } from '../../src/presets/backends/table.ts';
import { opsetCases, OLDEST_OPSET } from './cases.ts';
import type { Outcome } from './outcome.ts';
import { probe } from './probe.ts';
import { runInNode } from './run-node.ts';
import { runInPages, type WebRun } from './run-web.ts';
import { rowsOf, tableText } from './table-text.ts';

const words = process.argv.slice(2);
const isWriting = words.includes('--write');
const wanted = words.find((word) => !word.startsWith('--'))?.split(',');
// Of the package, which does not export its package.json.
const { version } = JSON.parse(readFileSync(join(findOrtWeb(), '../package.json'), 'utf8')) as {
  readonly version: string;
};

const probed = await probe((op) => wanted === undefined || wanted.includes(op));
if (wanted === undefined) write(await wholeTable());
else if (isWriting) write(await withRows());
else for (const { op, since, signature, letters } of probed) console.log(op, since, signature, letters);

async function withRows(): Promise<BackendTable> {
  const { backendTable } = await import('../../src/presets/backends/tables.ts');
  const table = backendTable(version);
  return { ...table, ops: { ...table.ops, ...rowsOf(probed) } };
}

async function wholeTable(): Promise<BackendTable> {
  const opsets = await opsetCases();
  const newest = (outcomes: readonly Outcome[]): number =>
    Math.max(...opsets.flatMap(({ since }, i) => (outcomes[i].stage === 'ran' ? [since] : [])));
  const machine = `${process.platform} ${process.arch}`;
  const inPage = (web: WebRun): ProbedBackend => ({
    runtime: web.runtime,
    place: [`Chromium ${web.browser}`, web.adapter ?? []].flat().join(', '),
    newestOpset: newest(web.outcomes),
  });
  const columns = [
    {
      runtime: `onnxruntime-node ${version} (cpu)`,
      place: machine,
      newestOpset: newest(await runInNode(opsets, 'onnxruntime-node')),
    },
    {
      runtime: `onnxruntime-web/wasm ${version} (wasm)`,
      place: `Node ${process.versions.node}, ${machine}`,
      newestOpset: newest(await runInNode(opsets, 'onnxruntime-web')),
    },
    inPage(await runInPages('transformersjs-wasm', opsets)),
    inPage(await runInPages('ort-web-webgpu', opsets)),
  ];
  return {
    version,
    date: new Date().toISOString().slice(0, 10),
    oldestOpset: OLDEST_OPSET,
    // A column a target, in their order.
    backends: Object.fromEntries(
      CHECK_TARGETS.map((target, i) => [target, columns[i]]),
    ) as BackendTable['backends'],
    ops: rowsOf(probed),
  };
}

function write(table: BackendTable): void {
  const name = `onnxruntime-${version.replace(/\.\d+$/, '')}.generated.ts`;
  const path = new URL(`../../src/presets/backends/${name}`, import.meta.url);
  writeFileSync(path, tableText(table));
  console.error(`wrote ${fileURLToPath(path)}`);
}
