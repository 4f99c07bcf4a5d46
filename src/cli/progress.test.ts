import { expect, it, vi, onTestFinished } from 'vitest';
import { openProgress } from './progress.ts';

/** A stream that keeps what is written; the clock stands still until it is moved. */
function stream(
  isTTY: boolean,
  columns = 40,
): { readonly lines: string[]; readonly out: NodeJS.WriteStream } {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const lines: string[] = [];
  const out = { isTTY, columns, write: (text: string) => lines.push(text) };
  // Only what progress uses of a stream.
  return { lines, out: out as unknown as NodeJS.WriteStream };
}

const facts = (done: number) => ({ stage: 'calibrate', done, total: 10, unit: 'samples' });

it('elsewhere than on a terminal: a plain line every two seconds', () => {
  const { lines, out } = stream(false);
  const progress = openProgress(out, false);
  progress.update(facts(1));
  vi.advanceTimersByTime(2000);
  progress.update(facts(2));
  progress.update(facts(3));
  progress.note('a note');
  progress.end();
  expect(lines).toEqual(['calibrate: 2 of 10 samples\n', 'a note\n']);
});

it('on a terminal: one line, rewritten, cut to the width, gone at the end', () => {
  const { lines, out } = stream(true);
  const progress = openProgress(out, false);
  progress.update(facts(5));
  progress.update(facts(6));
  progress.end();
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain(`\r\u001B[2K${'━'.repeat(12)}${'─'.repeat(12)} calibrate: 5`);
  expect(lines[0].length).toBe('\r\u001B[2K'.length + 39);
  expect(lines[1]).toBe('\r\u001B[2K');
});

it('on a terminal without a width: 80 columns', () => {
  const { lines, out } = stream(true, 0);
  openProgress(out, false).update(facts(5));
  expect(lines[0].endsWith(' calibrate: 5 of 10 samples')).toBe(true);
});

it('quiet: nothing', () => {
  const { lines, out } = stream(true);
  const progress = openProgress(out, true);
  progress.note('a note');
  progress.update(facts(1));
  progress.end();
  expect(lines).toEqual([]);
});
