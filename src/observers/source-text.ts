/** Values as TypeScript source: what observers, factories and configurations print. */

/** Wider than this, an object is broken into one property a line. */
const LINE = 100;
/** Arrays show this many elements. */
const SHOWN = 8;

/** The shortest decimal that reads back as the same float32 (`0.1`, not `0.10000000149011612`). */
export function float32Text(value: number): string {
  if (!Number.isFinite(value) || Math.fround(value) !== value) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(Number(value.toPrecision(9)));
}

/** Numbers as an array literal, the middle left out where there are many: `[1, 2, /* 61 more *\/ 64]`. */
export function float32ListText(values: ArrayLike<number>): string {
  const texts = Array.from(values, float32Text);
  if (texts.length > SHOWN) {
    texts.splice(SHOWN - 1, texts.length - SHOWN, `/* ${texts.length - SHOWN} more */ ${texts.at(-1)}`);
    texts.pop();
  }
  return `[${texts.join(', ')}]`;
}

/** A value as an expression: strings quoted, objects as literals, anything with its own text (a factory) by it. */
export function sourceText(value: unknown, indent = ''): string {
  if (typeof value === 'string') return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  if (typeof value === 'number') return float32Text(value);
  if (Array.isArray(value)) return `[${value.map((item) => sourceText(item, indent)).join(', ')}]`;
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return objectText(value, indent);
  }
  return String(value).replaceAll('\n', `\n${indent}`);
}

function objectText(value: object, indent: string): string {
  const fields = Object.entries(value).map(([key, item]) => `${key}: ${sourceText(item, `${indent}  `)}`);
  if (fields.length === 0) return '{}';
  const line = `{ ${fields.join(', ')} }`;
  if (line.length + indent.length <= LINE && !line.includes('\n')) return line;
  return `{\n${fields.map((field) => `${indent}  ${field},\n`).join('')}${indent}}`;
}

/** `callee(args)`, or `callee()` where there are none. */
export function callText(callee: string, args: object): string {
  return Object.keys(args).length === 0 ? `${callee}()` : `${callee}(${sourceText(args)})`;
}
