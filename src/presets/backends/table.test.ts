import { describe, expect, it } from 'vitest';
import { buildModel } from '../../graph/build.ts';
import type { ElementType } from '../../graph/element-type.ts';
import type { Node } from '../../graph/node.ts';
import { BackendLookup, CHECK_TARGETS, SUPPORT_LETTERS, type BackendTable, type Support } from './table.ts';
import { backendTable } from './tables.ts';

const BACKEND = { runtime: 'r', place: 'p', newestOpset: 20 };
const TABLE: BackendTable = {
  version: '1.0.0',
  date: '2026-01-01',
  oldestOpset: 7,
  backends: {
    'ort-node-cpu': { ...BACKEND, newestOpset: 21 },
    'ort-web-wasm': BACKEND,
    'transformersjs-wasm': BACKEND,
    'ort-web-webgpu': BACKEND,
  },
  ops: {
    Relu: '6.13 float32 rrrr float16 rrrh,rxxc float64 ----,rrxx',
    Gather: '1 float32/int64 rrrr float32/int32 rrrc int8/int32 xrxc',
    If: '1.11  rrrr,rrrc',
    'com.microsoft.Gelu': '1 float32 rww-',
  },
};

/** Of a node in an opset, one a target. */
function supports(
  op: string,
  opset: number,
  ...types: readonly (ElementType | undefined)[]
): readonly Support[] {
  const { graph } = buildModel((b) => {
    const inputs = types.map((type, i) =>
      type === undefined ? b.op('Unknown', []) : b.input(`x${i}`, type),
    );
    b.output(b.op(op, inputs), 'y');
  });
  const nodes: Node[] = [...graph.nodes];
  const { support } = new BackendLookup(TABLE).find(
    nodes[nodes.length - 1],
    opset,
    (value) => value?.elementType,
  );
  return CHECK_TARGETS.map((target) => support[target]);
}

describe('BackendLookup', () => {
  it.each<[string, readonly Support[], readonly Support[]]>([
    [
      'one word of letters holds for all versions',
      supports('Relu', 9, 'float32'),
      ['runs', 'runs', 'runs', 'runs'],
    ],
    [
      'the newest version that the opset means',
      supports('Relu', 12, 'float16'),
      ['runs', 'runs', 'runs', 'needs shader-f16'],
    ],
    [
      'and from its opset on the next',
      supports('Relu', 13, 'float16'),
      ['runs', 'missing', 'missing', 'falls back'],
    ],
    [
      'a type that a version does not have',
      supports('Relu', 12, 'float64'),
      ['unknown', 'unknown', 'unknown', 'unknown'],
    ],
    ['a type without a row', supports('Relu', 13, 'int8'), ['unknown', 'unknown', 'unknown', 'unknown']],
    [
      'an operator without a row',
      supports('Tanh', 13, 'float32'),
      ['unknown', 'unknown', 'unknown', 'unknown'],
    ],
    [
      'an opset that was not probed',
      supports('Relu', 6, 'float32'),
      ['unknown', 'unknown', 'unknown', 'unknown'],
    ],
    [
      'an opset that only some load',
      supports('Relu', 21, 'float32'),
      ['runs', 'missing', 'missing', 'missing'],
    ],
    [
      'an operator that no type decides on',
      supports('If', 12, 'bool'),
      ['runs', 'runs', 'runs', 'falls back'],
    ],
    [
      'another operator set',
      supports('com.microsoft.Gelu', 1, 'float32'),
      ['runs', 'wrong numbers', 'wrong numbers', 'unknown'],
    ],
    ['a type that is not told', supports('Relu', 13, undefined), ['runs', 'unknown', 'unknown', 'unknown']],
    ['one of two', supports('Gather', 13, 'float32', undefined), ['runs', 'runs', 'runs', 'unknown']],
    [
      'the other one',
      supports('Gather', 13, undefined, 'int32'),
      ['unknown', 'runs', 'unknown', 'falls back'],
    ],
  ])('%s', (_, found, expected) => {
    expect(found).toEqual(expected);
  });
});

describe('the generated table', () => {
  const table = backendTable();

  it('has letters for every target, for all versions or for each', () => {
    const rows = Object.entries(table.ops);
    expect(rows.length).toBeGreaterThan(180);
    for (const [op, text] of rows) {
      const [versions, ...words] = text.split(' ');
      expect(words.length % 2, op).toBe(0);
      for (const [i, word] of words.entries()) {
        if (i % 2 === 0) continue;
        const letters = word.split(',');
        expect([1, versions.split('.').length], `${op} ${word}`).toContain(letters.length);
        for (const group of letters) {
          expect(group, op).toHaveLength(CHECK_TARGETS.length);
          expect(
            [...group].every((letter) => Object.hasOwn(SUPPORT_LETTERS, letter)),
            `${op} ${group}`,
          ).toBe(true);
        }
      }
    }
  });

  it('is of a release, a day and four places, and is found by its version', () => {
    expect(table.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(table.date).toMatch(/^\d{4}-\d\d-\d\d$/);
    for (const target of CHECK_TARGETS) expect(table.backends[target].runtime).toContain(table.version);
    expect(backendTable(table.version.replace(/\.\d+$/, ''))).toBe(table);
  });
});
