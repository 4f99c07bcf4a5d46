/**
 * Sets members in the text of a JSON object. The rest of the text stays as it is: order, spacing, numbers that a double cannot
 * hold, keys that are there twice. The text must be valid JSON.
 */

interface Member {
  readonly key: string;
  readonly start: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

interface JsonObject {
  /** Of `{`. */
  readonly start: number;
  /** Of `}`. */
  readonly end: number;
  readonly members: readonly Member[];
}

const SPACE = /\s/;
const INDENT = '  ';

/** Sets `path` to `value`; objects on the way are made, and what is no object there is replaced. */
export function setJson(text: string, path: readonly string[], value: unknown): string {
  return setIn(text, skipSpace(text, 0), path, value);
}

function setIn(text: string, start: number, [key, ...rest]: readonly string[], value: unknown): string {
  const object = readObject(text, start);
  // The last one counts for JSON.parse.
  const found = object.members.findLast((member) => member.key === key);
  if (found !== undefined && rest.length > 0 && text[found.valueStart] === '{') {
    return setIn(text, found.valueStart, rest, value);
  }
  const whole = rest.reduceRight((inner, name) => ({ [name]: inner }), value);
  if (found !== undefined) {
    const at = lineIndent(text, found.start);
    return splice(text, found.valueStart, found.valueEnd, format(text, whole, at));
  }
  return insert(text, object, key, whole);
}

function insert(text: string, { start, end, members }: JsonObject, key: string, value: unknown): string {
  const newline = newlineOf(text);
  const last = members.at(-1);
  const name = JSON.stringify(key);
  if (newline === undefined) {
    const member = `${name}: ${format(text, value, '')}`;
    return last === undefined
      ? splice(text, start + 1, end, member)
      : splice(text, last.valueEnd, last.valueEnd, `, ${member}`);
  }
  const at = last === undefined ? lineIndent(text, start) + unitOf(text) : lineIndent(text, last.start);
  const member = `${newline}${at}${name}: ${format(text, value, at)}`;
  return last === undefined
    ? splice(text, start + 1, end, `${member}${newline}${lineIndent(text, start)}`)
    : splice(text, last.valueEnd, last.valueEnd, `,${member}`);
}

function splice(text: string, from: number, to: number, part: string): string {
  return text.slice(0, from) + part + text.slice(to);
}

/** A value as the text around it is written; `at` is the indent of its first line. */
function format(text: string, value: unknown, at: string): string {
  const newline = newlineOf(text);
  if (newline === undefined) return JSON.stringify(value);
  return JSON.stringify(value, undefined, unitOf(text)).replaceAll('\n', newline + at);
}

function newlineOf(text: string): string | undefined {
  const trimmed = text.trim();
  if (trimmed.includes('\r\n')) return '\r\n';
  return trimmed.includes('\n') ? '\n' : undefined;
}

/** Indent of the first line that has one. */
function unitOf(text: string): string {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? INDENT;
}

/** What stands before the first character of the line that `index` is in. */
function lineIndent(text: string, index: number): string {
  const line = text.slice(text.lastIndexOf('\n', index - 1) + 1, index);
  return /^[ \t]*/.exec(line)?.[0] ?? '';
}

function readObject(text: string, start: number): JsonObject {
  const members: Member[] = [];
  let at = skipSpace(text, start + 1);
  while (text[at] !== '}') {
    const keyEnd = skipValue(text, at);
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const valueEnd = skipValue(text, valueStart);
    members.push({ key: JSON.parse(text.slice(at, keyEnd)) as string, start: at, valueStart, valueEnd });
    at = skipSpace(text, valueEnd);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return { start, end: at, members };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && SPACE.test(text[at])) at++;
  return at;
}

/** The end of the value that begins at `from`. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const c = text[at];
    if (c === '"') at = stringEnd(text, at) - 1;
    else if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') depth--;
    else if (depth === 0 && c !== undefined && /[-+.\w]/.test(c) && /[-+.\w]/.test(text[at + 1] ?? ''))
      continue;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
