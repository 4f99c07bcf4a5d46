/**
 * Runs cases everywhere and judges them. What fails or differs on WebGPU is tried again alone in a fresh page, and what no
 * missing kernel explains is listed: a mistake in a row, or a fault of the runtime.
 */
import type { SupportLetter } from '../../src/presets/backends/table.ts';
import { probeCases, type Case } from './cases.ts';
import type { Outcome } from './outcome.ts';
import { runInNode } from './run-node.ts';
import { runInPages } from './run-web.ts';
import { isInvalid, isMissing, nodeLetter, webLetter } from './verdict.ts';

export interface ProbedCase extends Case {
  /** One a target. */
  readonly letters: string;
}

export async function probe(wanted: (op: string) => boolean): Promise<readonly ProbedCase[]> {
  const all = await probeCases(wanted);
  const inNode = await runInNode(all, 'onnxruntime-node');
  const cases = all.filter((_, i) => !isInvalid(inNode[i]));
  const native = inNode.filter((outcome) => !isInvalid(outcome));
  console.error(`${all.length} models, ${cases.length} of them ONNX`);
  const twins = new Map(
    cases.flatMap((one, i) => (one.type === 'float32' ? [[one.family, native[i]] as const] : [])),
  );
  const wasm = await runInNode(cases, 'onnxruntime-web');
  const { outcomes: transformers } = await runInPages('transformersjs-wasm', cases);
  const webgpu = await onWebGpu(cases, native);
  return cases.map((one, i) => {
    const letters = [
      nodeLetter(one, native[i], twins.get(one.family)),
      webLetter(one, wasm[i], native[i]),
      webLetter(one, transformers[i], native[i]),
      webLetter(one, webgpu[i], native[i]),
    ].join('');
    tellStrange(one, letters, [native[i], wasm[i], transformers[i], webgpu[i]]);
    return { ...one, letters };
  });
}

async function onWebGpu(cases: readonly Case[], native: readonly Outcome[]): Promise<readonly Outcome[]> {
  // Two browsers at a time: a case is waiting, mostly.
  const half = Math.ceil(cases.length / 2);
  const runs = await Promise.all(
    [cases.slice(0, half), cases.slice(half)].map((part) => runInPages('ort-web-webgpu', part)),
  );
  const outcomes = runs.flatMap((run) => run.outcomes);
  const isDoubtful = (letter: SupportLetter, i: number): boolean =>
    letter === 'w' || (letter === 'x' && native[i].stage === 'ran' && !isMissing(outcomes[i]));
  const doubtful = cases.flatMap((one, i) =>
    isDoubtful(webLetter(one, outcomes[i], native[i]), i) ? [i] : [],
  );
  console.error(`webgpu: ${doubtful.length} again, alone`);
  const again = await runInPages(
    'ort-web-webgpu',
    doubtful.map((i) => cases[i]),
    { toAPage: 1 },
  );
  for (const [k, i] of doubtful.entries()) outcomes[i] = again.outcomes[k];
  return outcomes;
}

function tellStrange({ op, since, signature }: Case, letters: string, outcomes: readonly Outcome[]): void {
  const strange = outcomes.find((outcome) => 'message' in outcome && !isMissing(outcome));
  if (strange === undefined && !letters.includes('w')) return;
  const why = strange !== undefined && 'message' in strange ? strange.message.slice(0, 200) : '';
  console.error(`${op} ${since} ${signature} ${letters} ${why}`);
}
