import { expect, it } from 'vitest';
import { setJson } from './json-edit.ts';

const CASES: readonly (readonly [what: string, before: string, path: readonly string[], after: string])[] = [
  [
    'a member at the end',
    '{\n  "a": 1.0\n}\n',
    ['b'],
    '{\n  "a": 1.0,\n  "b": {\n    "x": [\n      1\n    ]\n  }\n}\n',
  ],
  ['in one line', '{"a": 1e400, "b":[1,2]}', ['c'], '{"a": 1e400, "b":[1,2], "c": {"x":[1]}}'],
  ['into nothing', '{}', ['c'], '{"c": {"x":[1]}}'],
  ['into nothing over lines', '{\n}', ['c'], '{\n  "c": {\n    "x": [\n      1\n    ]\n  }\n}'],
  ['in place of a value', '{"a": "}\\"{", "b": null}', ['a'], '{"a": {"x":[1]}, "b": null}'],
  ['the last of two', '{"a": 1, "a": 2}', ['a'], '{"a": 1, "a": {"x":[1]}}'],
  ['inside', '{"a": {"b": 9007199254740993}}', ['a', 'c'], '{"a": {"b": 9007199254740993, "c": {"x":[1]}}}'],
  ['objects on the way', '{"a": true}', ['a', 'b', 'c'], '{"a": {"b":{"c":{"x":[1]}}}}'],
  [
    'with tabs and CRLF',
    '{\r\n\t"a": 1\r\n}',
    ['b'],
    '{\r\n\t"a": 1,\r\n\t"b": {\r\n\t\t"x": [\r\n\t\t\t1\r\n\t\t]\r\n\t}\r\n}',
  ],
  ['a key that is escaped', '{"\\u0061": 1}', ['a'], '{"\\u0061": {"x":[1]}}'],
];

it.each(CASES)('sets %s', (_, before, path, after) => {
  const edited = setJson(before, path, { x: [1] });
  expect(edited).toBe(after);
  expect(setJson(edited, path, { x: [1] })).toBe(after);
  const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], JSON.parse(edited));
  expect(value).toEqual({ x: [1] });
});
