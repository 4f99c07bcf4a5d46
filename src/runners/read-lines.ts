/** Lines of a text file, one at a time, as bytes: most of them are counted or passed over, and need no decoding. */
import { FormatError } from '../errors.ts';
import type { Source } from '../formats/source.ts';

export interface Line {
  /** From 1, blank lines included. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

const CHUNK_BYTES = 262_144;
/** A line is parsed as a whole, at about ten times its size; the largest images people feed are a few megabytes. */
const MAX_LINE_BYTES = 67_108_864;
const LINE_FEED = 10;
/** UTF-8's byte order mark, which some editors put at the start. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/**
 * The lines that hold more than blanks, without their ends.
 * @throws FormatError FORMAT_LIMIT for a line above 64 MiB
 */
export async function* readLines(source: Source): AsyncGenerator<Line> {
  let rest: Uint8Array[] = [];
  let restLength = 0;
  let number = 1;
  for (let offset = 0; offset < source.size; offset += CHUNK_BYTES) {
    const chunk = await source.read(offset, Math.min(CHUNK_BYTES, source.size - offset));
    let start = offset === 0 && BYTE_ORDER_MARK.every((byte, i) => chunk[i] === byte) ? 3 : 0;
    for (let end = chunk.indexOf(LINE_FEED, start); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      const bytes = joined(rest, chunk.subarray(start, end));
      if (!isBlank(bytes)) yield { number, bytes };
      number++;
      start = end + 1;
      rest = [];
      restLength = 0;
    }
    rest.push(chunk.slice(start));
    restLength += chunk.length - start;
    if (restLength > MAX_LINE_BYTES) throw tooLong(source, number);
  }
  const bytes = joined(rest, new Uint8Array(0));
  if (!isBlank(bytes)) yield { number, bytes };
}

function joined(pieces: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  if (pieces.length === 0) return last;
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, last.length));
  let at = 0;
  for (const piece of [...pieces, last]) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** True for spaces, tabs and carriage returns alone. */
function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function tooLong({ name }: Source, line: number): FormatError {
  return new FormatError(`${name}: line ${line}: expected at most ${MAX_LINE_BYTES} bytes, got more`, {
    code: 'FORMAT_LIMIT',
    hint: 'Each line is one sample. Large samples are better kept in an .npz file.',
    details: { file: name, line },
  });
}
