/** The section of a model card that says which variants there are. */
import { checkOptions, type Rule } from '../../errors/check-options.ts';
import { listOf, numberFrom, recordOf, TEXT } from '../../errors/option-rules.ts';
import { variantFile, VARIANT_DTYPES, type VariantDType } from './dtypes.ts';
import { markdownHeadings } from './markdown-headings.ts';

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
 * The text of README.md with its section "Applied Quantizations" as the facts say: replaced where there is one, up to the next
 * heading of its level or a rule, else put at the end. Front matter and everything else stay as they are.
 *
 * @example withVariantsInReadme(text, { bases: ['model'], sizes: { 'model_q4.onnx': 1234567 } })
 */
export function withVariantsInReadme(text: string, facts: ReadmeFacts): string {
  checkOptions('withVariantsInReadme', facts, RULES);
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  // With their ends, which one file may mix.
  const lines = text.match(/[^\r\n]*(?:\r\n|\r|\n|$)/g) ?? [];
  const headings = markdownHeadings(lines);
  const found = headings.find(({ title }) => title.toLowerCase() === TITLE.toLowerCase());
  const section = sectionLines(facts, found?.level ?? 2).join(newline) + newline;
  if (found === undefined) return (text === '' ? '' : text.trimEnd() + newline + newline) + section;
  const next = headings.find(({ line, level }) => line > found.line && level <= found.level);
  const rest = next === undefined ? '' : newline + lines.slice(next.line).join('');
  return lines.slice(0, found.line).join('') + section + rest;
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
