/** The section of a model card that says which variants there are. */
import { checkOptions, type Rule } from '../../errors/check-options.ts';
import { listOf, numberFrom, recordOf, TEXT } from '../../errors/option-rules.ts';
import { variantFile, VARIANT_DTYPES, type VariantDType } from './dtypes.ts';

/** What {@link withVariantsInReadme} lists. */
export interface ReadmeFacts {
  /** Base files without `.onnx`. */
  readonly bases: readonly string[];
  /** Bytes of the variants that are there, by file. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Why a dtype is not there, where that is known. */
  readonly reasons?: Partial<Readonly<Record<VariantDType, string>>>;
}

const RULES = {
  bases: listOf(TEXT),
  sizes: recordOf(numberFrom(0)),
  reasons: recordOf(TEXT),
} satisfies Record<keyof ReadmeFacts, Rule>;

const TITLE = 'Applied Quantizations';

/**
 * The text of README.md with its section "Applied Quantizations" as the facts say: replaced where there is one, else put at
 * the end. Front matter and everything else stay as they are.
 *
 * @example withVariantsInReadme(text, { bases: ['model'], sizes: { 'model_q4.onnx': 1234567 } })
 */
export function withVariantsInReadme(text: string, facts: ReadmeFacts): string {
  checkOptions('withVariantsInReadme', facts, RULES);
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(newline);
  const headings = headingsOf(lines);
  const found = headings.find(({ title }) => title.toLowerCase() === TITLE.toLowerCase());
  const section = sectionLines(facts, found?.level ?? 2);
  if (found === undefined) {
    const before = text === '' ? '' : text.trimEnd() + newline + newline;
    return before + section.join(newline) + newline;
  }
  const next = headings.find(({ line, level }) => line > found.line && level <= found.level);
  const rest = next === undefined ? [''] : ['', ...lines.slice(next.line)];
  return [...lines.slice(0, found.line), ...section, ...rest].join(newline);
}

interface Heading {
  readonly line: number;
  readonly level: number;
  readonly title: string;
}

/** Headings with `#`, without what looks like one in front matter or in code. */
function headingsOf(lines: readonly string[]): Heading[] {
  const headings: Heading[] = [];
  let fence: string | undefined;
  const begin = frontMatterEnd(lines);
  for (let line = begin; line < lines.length; line++) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(lines[line])?.[1];
    if (mark !== undefined) {
      if (fence === undefined) fence = mark;
      else if (mark[0] === fence[0] && mark.length >= fence.length) fence = undefined;
      continue;
    }
    const [, hashes, title] = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/.exec(lines[line]) ?? [];
    if (fence === undefined && hashes !== undefined) headings.push({ line, level: hashes.length, title });
  }
  return headings;
}

function frontMatterEnd(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== '---') return 0;
  return lines.findIndex((line, i) => i > 0 && line.trimEnd() === '---') + 1;
}

function sectionLines({ bases, sizes, reasons = {} }: ReadmeFacts, level: number): string[] {
  const hashes = '#'.repeat(level);
  const lines = [`${hashes} ${TITLE}`];
  for (const base of bases) {
    lines.push('', `${hashes}# Based on \`${base}.onnx\``, '');
    for (const dtype of VARIANT_DTYPES) {
      const file = variantFile(base, dtype);
      const size = Object.hasOwn(sizes, file) ? sizes[file] : undefined;
      lines.push(
        size === undefined
          ? `- ❌ \`${dtype}\`${reasons[dtype] === undefined ? '' : `: ${reasons[dtype]}`}`
          : `- ✅ \`${dtype}\`: \`${file}\` (${sizeText(size)})`,
      );
    }
  }
  return lines;
}

function sizeText(bytes: number): string {
  return bytes < 999_950 ? `${(bytes / 1e3).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
