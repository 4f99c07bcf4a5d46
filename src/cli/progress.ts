/**
 * Progress on stderr: one line that is rewritten on a terminal, a plain line every few seconds elsewhere. Our own few
 * lines, because a prompt library's spinner takes over stdin and ends the process itself at Ctrl-C, before anything
 * can be tidied up.
 */

export interface ProgressFacts {
  readonly stage: string;
  readonly done: number;
  /** How many there will be, where known. */
  readonly total?: number;
  readonly unit: string;
}

export interface ProgressDisplay {
  update(facts: ProgressFacts): void;
  /** A line that stays. */
  note(line: string): void;
  /** Removes what is not meant to stay. Can be called again. */
  end(): void;
}

const BAR_WIDTH = 24;
/** For terminals that do not say how wide they are. */
const FALLBACK_COLUMNS = 80;
const REWRITE_MS = 50;
const PLAIN_MS = 2000;
const CLEAR_LINE = '\r\u001B[2K';

export function openProgress(stream: NodeJS.WriteStream, quiet: boolean): ProgressDisplay {
  if (quiet) return { update: () => undefined, note: () => undefined, end: () => undefined };
  return stream.isTTY && process.env.TERM !== 'dumb' ? terminalProgress(stream) : plainProgress(stream);
}

function terminalProgress(stream: NodeJS.WriteStream): ProgressDisplay {
  const isDue = throttle(REWRITE_MS);
  let shown = false;
  const clear = (): void => {
    if (shown) stream.write(CLEAR_LINE);
    shown = false;
  };
  return {
    update(facts) {
      if (!isDue()) return;
      stream.write(
        `${CLEAR_LINE}${bar(facts)}${progressText(facts)}`.slice(
          0,
          CLEAR_LINE.length + (stream.columns || FALLBACK_COLUMNS) - 1,
        ),
      );
      shown = true;
    },
    note(line) {
      clear();
      stream.write(`${line}\n`);
    },
    end: clear,
  };
}

function plainProgress(stream: NodeJS.WriteStream): ProgressDisplay {
  // A job that is done in a moment needs no news.
  const isDue = throttle(PLAIN_MS, performance.now());
  return {
    update(facts) {
      if (isDue()) stream.write(`${progressText(facts)}\n`);
    },
    note: (line) => void stream.write(`${line}\n`),
    end: () => undefined,
  };
}

/** True at most once in `ms`. */
function throttle(ms: number, last = -Infinity): () => boolean {
  return () => {
    const now = performance.now();
    if (now - last < ms) return false;
    last = now;
    return true;
  };
}

/** `calibrate: 64 of 256 samples` */
export function progressText({ stage, done, total, unit }: ProgressFacts): string {
  return `${stage}: ${done}${total === undefined ? '' : ` of ${total}`} ${unit}`;
}

function bar({ done, total }: ProgressFacts): string {
  if (total === undefined || total <= 0) return '';
  const filled = Math.round((Math.min(done, total) / total) * BAR_WIDTH);
  return `${'━'.repeat(filled)}${'─'.repeat(BAR_WIDTH - filled)} `;
}
