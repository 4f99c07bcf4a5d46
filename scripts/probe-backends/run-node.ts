/**
 * Runs cases in onnxruntime-node, on the CPU, or in onnxruntime-web, whose WebAssembly is the file that pages load. A case that ends the process (a crash of native code) is a failure of it alone.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';
import type { Outcome } from './outcome.ts';

const CHILD = fileURLToPath(new URL('node-child.ts', import.meta.url));

export type Runtime = 'onnxruntime-node' | 'onnxruntime-web';

export async function runInNode(cases: readonly Case[], runtime: Runtime): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  let child: ChildProcess | undefined;
  for (const one of cases) {
    child ??= fork(CHILD, [runtime], { serialization: 'advanced', execArgv: process.execArgv });
    const outcome = await ask(child, one);
    if (outcome === undefined) child = undefined;
    outcomes.push(outcome ?? { stage: 'crash', message: 'the process ended' });
  }
  child?.kill();
  return outcomes;
}

function ask(child: ChildProcess, one: Case): Promise<Outcome | undefined> {
  return new Promise((resolve) => {
    const onExit = (): void => resolve(undefined);
    child.once('exit', onExit);
    child.once('message', (outcome: Outcome) => {
      child.off('exit', onExit);
      resolve(outcome);
    });
    child.send(one);
  });
}
