/** The generated file: see `BackendTable` for its shape. */
import { NONE, type BackendTable } from '../../src/presets/backends/table.ts';
import type { ProbedCase } from './probe.ts';

/** Rows by operator. */
export function rowsOf(cases: readonly ProbedCase[]): Readonly<Record<string, string>> {
  const ops = [...new Set(cases.map(({ op }) => op))];
  return Object.fromEntries(ops.map((op) => [op, rowText(cases.filter((one) => one.op === op))]));
}

export function tableText({ version, date, oldestOpset, backends, ops }: BackendTable): string {
  const name = `ORT_${version.split('.').slice(0, 2).join('_')}`;
  const rows = Object.keys(ops)
    .toSorted()
    .map((op) => `    ${keyText(op)}: ${quoted(ops[op])},`);
  const columns = Object.entries(backends).map(
    ([target, { runtime, place, newestOpset }]) =>
      `    ${quoted(target)}: { runtime: ${quoted(runtime)}, place: ${quoted(place)}, newestOpset: ${newestOpset} },`,
  );
  return [
    '/** Made by scripts/probe-backends from one-op models that were loaded and run; do not edit. */',
    "import type { BackendTable } from './table.ts';",
    '',
    `export const ${name}: BackendTable = {`,
    `  version: ${quoted(version)},`,
    `  date: ${quoted(date)},`,
    `  oldestOpset: ${oldestOpset},`,
    '  backends: {',
    ...columns,
    '  },',
    '  ops: {',
    ...rows,
    '  },',
    '};',
    '',
  ].join('\n');
}

function rowText(cases: readonly ProbedCase[]): string {
  const versions = [...new Set(cases.map(({ since }) => since))].toSorted((a, b) => a - b);
  const signatures = [...new Set(cases.map(({ signature }) => signature))];
  const words = signatures.flatMap((signature) => {
    const letters = versions.map(
      (version) => cases.find((one) => one.signature === signature && one.since === version)?.letters ?? NONE,
    );
    if (letters.every((text) => text === NONE)) return [];
    return [signature, new Set(letters).size === 1 ? letters[0] : letters.join()];
  });
  return [versions.join('.'), ...words].join(' ');
}

function keyText(op: string): string {
  return /^\w+$/.test(op) ? op : quoted(op);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`\'`)}'`;
}
