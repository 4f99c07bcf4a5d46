/** PyTorch at one thread, where Python is set up: ZEROPOINT_PYTHON, else .venv/bin/python. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Torch {
  readonly version: string;
  /** Seconds of each call of `op` on a `shape` of normal values, for `seconds` seconds. */
  time(op: string, shape: readonly number[], seconds: number): Promise<number[]>;
  close(): void;
}

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Starts the server; undefined if there is no Python with torch. */
export async function startTorch(): Promise<Torch | undefined> {
  const python = process.env.ZEROPOINT_PYTHON ?? local('../.venv/bin/python');
  if (!existsSync(python)) return undefined;
  const server = spawn(python, ['-W', 'ignore', local('torch_server.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  const read = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    return done === true ? undefined : JSON.parse(value);
  };
  const hello = (await read()) as { version: string } | undefined;
  if (hello === undefined) return undefined;
  return {
    version: hello.version,
    async time(op, shape, seconds) {
      server.stdin.write(`${JSON.stringify({ op, shape, seconds })}\n`);
      const times = await read();
      if (times === undefined) throw new Error(`torch_server.py: expected times of ${op}, got its end`);
      return times as number[];
    },
    close: () => server.stdin.end(),
  };
}
