/** The process in which onnxruntime-node runs a model for `check --run`: one question comes in, one answer goes out. */
import { Tensor } from 'zeropoint';
import { ortNode } from 'zeropoint/onnx';
import { processBytes } from '../browser/resident.ts';
import { nativeRuntime } from '../runtime.ts';

/** A tensor as it goes from process to process. */
export interface PlainTensor {
  readonly dtype: Tensor['dtype'];
  readonly shape: readonly number[];
  readonly data: Tensor['data'];
}

export interface ChildQuestion {
  readonly path: string;
  readonly batches: readonly Readonly<Record<string, PlainTensor>>[];
}

export interface ChildAnswer {
  readonly runtime: string;
  readonly loadMs: number | null;
  readonly runMs: readonly number[];
  /** How much more memory was resident at the peak than before runtime and model were loaded. */
  readonly peakBytes: number;
  readonly outputs: readonly Readonly<Record<string, PlainTensor>>[];
  readonly failure: {
    readonly stage: 'load' | 'run';
    readonly message: string;
    readonly code?: string;
  } | null;
}

export function serveParent(): void {
  process.once('message', (question: ChildQuestion) => {
    void answerTo(question).then((answer) => process.send?.(answer, () => process.disconnect()));
  });
}

async function answerTo({ path, batches }: ChildQuestion): Promise<ChildAnswer> {
  const before = process.memoryUsage.rss();
  const outputs: Readonly<Record<string, PlainTensor>>[] = [];
  const runMs: number[] = [];
  let runtime = 'onnxruntime-node';
  let loadMs: number | null = null;
  let failure: ChildAnswer['failure'] = null;
  try {
    const ort = await nativeRuntime();
    const start = performance.now();
    const runner = await ortNode(path, { optimization: 'all', ort });
    loadMs = performance.now() - start;
    runtime = runner.name;
    for (const feeds of batches) {
      const tensors = Object.entries(feeds).map(([name, { dtype, shape, data }]) => [
        name,
        new Tensor(dtype, shape, data),
      ]);
      const begun = performance.now();
      const results = await runner.run(Object.fromEntries(tensors) as Record<string, Tensor>);
      runMs.push(performance.now() - begun);
      outputs.push(plain(results));
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    failure = { stage: loadMs === null ? 'load' : 'run', message, ...codeOf(error) };
  }
  const peak = await peakBytes();
  return { runtime, loadMs, runMs, peakBytes: Math.max(0, peak - before), outputs, failure };
}

/** Not `maxRSS` where /proc is there: Linux lets a process begin with the peak of the one that started it. */
async function peakBytes(): Promise<number> {
  const resident = await processBytes(process.pid, 'VmHWM');
  // Kilobytes.
  return resident === 0 ? process.resourceUsage().maxRSS * 1024 : resident;
}

function plain(tensors: Readonly<Record<string, Tensor>>): Record<string, PlainTensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data }]),
  );
}

function codeOf(error: unknown): { readonly code?: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? { code: error.code }
    : {};
}
