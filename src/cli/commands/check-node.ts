/** onnxruntime-node in a process of its own: a crash there is a finding, and its memory is the model's. */
import { fork, type ChildProcess } from 'node:child_process';
import { Tensor, UnsupportedError } from 'zeropoint';
import type { ChildAnswer, ChildQuestion } from './check-child.ts';
import type { RawJob, RawRun } from './check-run.ts';

export async function runInChild({ path, batches, signal }: RawJob): Promise<RawRun> {
  // The command line itself, with a verb that no help shows.
  const child = fork(process.argv[1], ['check-child'], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const stop = (): void => void child.kill();
  signal.addEventListener('abort', stop);
  try {
    const answer = await ask(child, { path, batches: batches.map(plain) });
    signal.throwIfAborted();
    if (typeof answer === 'string') return crashed(answer);
    const { failure, outputs, ...facts } = answer;
    // Not a finding about the model: nothing can be found without it.
    if (failure?.code === 'RUNTIME_MISSING') throw missing(failure.message);
    return { ...facts, failure, place: null, onCpu: [], outputs: outputs.map(restored) };
  } finally {
    signal.removeEventListener('abort', stop);
    child.kill();
  }
}

/** Its answer, or how it ended without one. */
function ask(child: ChildProcess, question: ChildQuestion): Promise<ChildAnswer | string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (answer: ChildAnswer) => resolve(answer));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    child.send(question, (error) => {
      if (error) reject(error);
    });
  });
}

function crashed(how: string): RawRun {
  return {
    runtime: 'onnxruntime-node',
    place: null,
    loadMs: null,
    runMs: [],
    peakBytes: null,
    onCpu: [],
    outputs: [],
    failure: { stage: 'load', message: `the process ended: ${how}` },
  };
}

function missing(message: string): UnsupportedError {
  return new UnsupportedError(message, {
    code: 'RUNTIME_MISSING',
    hint: 'Run: npm install onnxruntime-node, or leave ort-node-cpu out of --target.',
  });
}

function plain(feeds: Readonly<Record<string, Tensor>>): ChildQuestion['batches'][number] {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data }]),
  );
}

function restored(outputs: ChildAnswer['outputs'][number]): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { dtype, shape, data }]) => [name, new Tensor(dtype, shape, data)]),
  );
}
