/** Pages that name exports name ones that exist. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as zeropoint from 'zeropoint';
import * as onnx from 'zeropoint/onnx';
import { qconfigPresetNames } from './support/preset-names.ts';

const page = (name: string): string => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8');

/** Names in code style in the second column of the tables. */
function namesOf(text: string): string[] {
  const cells = text.split('\n').flatMap((line) => (line.startsWith('|') ? [line.split('|')[2]] : []));
  return cells.flatMap((cell) => [...cell.matchAll(/`([A-Za-z]\w*)`/g)].map((match) => match[1]));
}

/** What is in code style. */
function codes(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]);
}

/** Members and options that the page names beside the exports. */
const MEMBERS = new Set([
  'scale',
  'zeroPoint',
  'scales',
  'axis',
  'qscheme',
  'setGlobal',
  'setObjectType',
  'setModuleNameRegex',
  'setModuleName',
  'setModuleNameObjectTypeOrder',
]);

describe('docs/torch-names.md', () => {
  const names = namesOf(page('torch-names.md')).filter((name) => !MEMBERS.has(name));

  it('names only what is exported', () => {
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !(name in zeropoint))).toEqual([]);
  });

  it('names every preset', () => {
    const presets = qconfigPresetNames(zeropoint);
    expect(presets.length).toBeGreaterThan(40);
    expect(presets.filter((name) => !names.includes(name))).toEqual([]);
  });
});

describe('docs/variants.md', () => {
  const text = page('variants.md');

  it('has a row for the suffix of every dtype, and no other', () => {
    const [, table] = text.split('| dtype | file |');
    const rows = table.split('\n\n')[0].split('\n').slice(2);
    const stated = rows.flatMap((row) => {
      const [dtypes, suffixes] = row.split('|').slice(1, 3).map(codes);
      return dtypes.map((dtype, i) => [dtype, `model${suffixes[i]}.onnx`]);
    });
    expect(stated).toEqual(onnx.VARIANT_DTYPES.map((dtype) => [dtype, onnx.variantFile('model', dtype)]));
  });

  it('names only tests that are there', () => {
    const paths = [...new Set(text.match(/`test\/[^`]+`/g))].map((path) => path.slice(1, -1));
    expect(paths.length).toBeGreaterThan(1);
    expect(paths.filter((path) => !existsSync(new URL(`../${path}`, import.meta.url)))).toEqual([]);
  });
});

describe('README.md', () => {
  it('imports only what is exported', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const imports = [...readme.matchAll(/import \{ ([^}]+) \} from '(zeropoint(?:\/onnx)?)'/g)];
    expect(imports.length).toBeGreaterThan(1);
    for (const [, names, source] of imports) {
      const exported: object = source === 'zeropoint' ? zeropoint : onnx;
      expect(names.split(', ').filter((name) => !(name in exported))).toEqual([]);
    }
  });
});

describe('VERSION', () => {
  it('is the version of the package', () => {
    const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
    expect(onnx.VERSION).toBe((JSON.parse(text) as { version: string }).version);
  });
});
