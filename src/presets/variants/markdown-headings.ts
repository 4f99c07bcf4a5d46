/**
 * Where the parts of a Markdown text begin, as CommonMark 0.31 has them: headings with `#`, underlined ones, `<h2>`, and rules.
 * What looks like one in front matter, code or a comment is none. Where HTML makes it doubtful whether a line is a heading it is
 * taken for one: whoever replaces a part must not take the next one with it.
 */

/** The beginning of a part. */
export interface Heading {
  /** Its first line: of several that are underlined, of the tags around `<h2>`. */
  readonly line: number;
  /** 1 to 6; 0 for a rule (`---`), which ends every part and has no title. */
  readonly level: number;
  readonly title: string;
}

/** Headings and rules from top to bottom. Lines may have their ends. */
export function markdownHeadings(lines: readonly string[]): readonly Heading[] {
  const texts = lines.map((line) => line.trimEnd());
  const scanner = new Scanner(texts);
  for (let line = frontMatterEnd(texts); line < texts.length; line++) scanner.read(line);
  return scanner.headings;
}

function frontMatterEnd(texts: readonly string[]): number {
  if (texts[0] !== '---') return 0;
  return texts.indexOf('---', 1) + 1;
}

/** A list item may begin with code. */
const FENCE = /^( {0,3}(?:(?:[-*+]|\d{1,9}[.)]) +)*)(`{3,}(?!.*`)|~{3,})/;
/** HTML in which nothing counts: how it begins, and what the line that ends it has. */
const RAW = [
  [/^ {0,3}<!--/, /-->/],
  [/^ {0,3}<(?:pre|script|style|textarea)(?![\w-])/i, /<\/(?:pre|script|style|textarea)>/i],
] as const;
const HASHES = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const UNDERLINE = /^ {0,3}(?:=+|-+)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}$/;
const TAG = /^\s*<[a-z]/i;
const TAG_HEADING = /^\s*<(?:.*<)?h([1-6])(?![\w-])/i;
const INDENTED = /^(?: {4}| {0,3}\t)/;
/** Items and quotes, which may stand right below a paragraph; other numbers may not. */
const ITEM = /^ {0,3}(?:>|(?:[-*+]|1[.)])[ \t]+)/;
const NUMBERED = /^ {0,3}\d{1,9}[.)][ \t]+/;

/** Lines that the title of `<h2>` may take. */
const TITLE_LINES = 3;

class Scanner {
  readonly headings: Heading[] = [];
  readonly #texts: readonly string[];
  /** In code or raw HTML: what its last line is like. */
  #closing: RegExp | undefined;
  /** The columns that the text of the last item is indented by; what has fewer ends code in it. 0: none is open. */
  #indent = 0;
  /** First line of the paragraph that the last line belongs to. */
  #paragraph: number | undefined;
  /** First of the lines, up to the last one, that each begin with a tag. */
  #tags: number | undefined;
  /** The last line belongs to an item or a quote: what follows without a blank line does too, and is not underlined. */
  #inItem = false;

  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  read(line: number): void {
    const text = this.#texts[line];
    if (text !== '' && columnsBefore(text) < this.#indent && !this.#inItem) {
      this.#indent = 0;
      this.#closing = undefined;
    }
    if (this.#closing !== undefined) {
      if (this.#closing.test(text)) this.#closing = undefined;
    } else if (text === '' || this.#opens(text) || this.#isHeading(line, text)) {
      this.#paragraph = undefined;
      this.#tags = undefined;
      this.#inItem = false;
    } else this.#readText(line, text);
  }

  /** Code and raw HTML. */
  #opens(text: string): boolean {
    const [, before, mark] = FENCE.exec(text) ?? [];
    const [, end] = RAW.find(([begin]) => begin.test(text)) ?? [];
    if (mark === undefined && end === undefined) return false;
    if (columnsBefore(text) < this.#indent) this.#indent = 0;
    if (mark !== undefined) {
      this.#closing = new RegExp(`^ {0,${before.length + 3}}${mark[0]}{${mark.length},}$`);
      if (before.trim() !== '') this.#indent = before.length;
    } else if (end?.test(text) === false) this.#closing = end;
    return true;
  }

  #isHeading(line: number, text: string): boolean {
    const isTag = TAG.test(text) && (this.#tags !== undefined || !INDENTED.test(text));
    this.#tags = isTag ? (this.#tags ?? line) : undefined;
    const heading = this.#withHashes(line, text) ?? this.#underlined(line, text) ?? this.#tagged(line, text);
    if (heading !== undefined) this.headings.push(heading);
    return heading !== undefined;
  }

  #withHashes(line: number, text: string): Heading | undefined {
    const [, hashes, title = ''] = HASHES.exec(text) ?? [];
    if (hashes === undefined) return undefined;
    return { line, level: hashes.length, title: title.replace(/(?:^|[ \t]+)#+$/, '').trim() };
  }

  #underlined(line: number, text: string): Heading | undefined {
    const begin = this.#paragraph;
    if (begin !== undefined && UNDERLINE.test(text)) {
      const title = this.#texts.slice(begin, line).join(' ').trim();
      return { line: begin, level: text.includes('=') ? 1 : 2, title };
    }
    return RULE.test(text) ? { line, level: 0, title: '' } : undefined;
  }

  #tagged(line: number, text: string): Heading | undefined {
    const begin = this.#tags;
    const [, level] = TAG_HEADING.exec(text) ?? [];
    if (begin === undefined || level === undefined) return undefined;
    const [inside] = this.#texts
      .slice(line, line + TITLE_LINES)
      .join(' ')
      .split(/<\/h/i);
    return { line: begin, level: Number(level), title: inside.replaceAll(/<[^<>]*>/g, '').trim() };
  }

  #readText(line: number, text: string): void {
    const isNew = this.#paragraph === undefined;
    const [marker] = ITEM.exec(text) ?? (isNew ? NUMBERED.exec(text) : undefined) ?? [];
    if (marker !== undefined) {
      this.#paragraph = undefined;
      this.#inItem = true;
      this.#indent = marker.endsWith('>') ? 0 : marker.length;
    } else if (!this.#inItem && (!isNew || !INDENTED.test(text))) this.#paragraph ??= line;
  }
}

function columnsBefore(text: string): number {
  return text.length - text.trimStart().length;
}
