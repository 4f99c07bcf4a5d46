/**
 * Where a variant runs without a part of it falling back to the CPU, by the newest table of backends. What the float model
 * has trouble with is not held against its variants.
 */
import type { Model } from '../../graph/model.ts';
import { CHECK_TARGETS, type CheckTarget, type Support } from '../backends/table.ts';
import { check, failsCheck, type TargetCheck } from '../check/check.ts';

/** A place to run, as transformers.js tells them apart. */
export interface RunsOn {
  readonly cpu: boolean;
  /** In onnxruntime-web/wasm, and in the file that transformers.js loads. */
  readonly wasm: boolean;
  /** `shader-f16`: on GPUs with 16-bit arithmetic. */
  readonly webgpu: boolean | 'shader-f16';
}

/** `float`: the model that `model` was made from. */
export async function runsOn(model: Model, float: Model): Promise<RunsOn> {
  const before = (await check(float)).targets;
  const after = (await check(model)).targets;
  const [cpu, wasm, fewer, webgpu] = CHECK_TARGETS.map((target) => newTroubles(target, before, after));
  const isKept = webgpu.some((support) => support === 'falls back' || failsCheck(support));
  return {
    cpu: !cpu.some(failsCheck),
    wasm: ![...wasm, ...fewer].some(failsCheck),
    webgpu: isKept ? false : webgpu.includes('needs shader-f16') ? 'shader-f16' : true,
  };
}

/** What operators have that had no trouble of that kind in the float model. */
function newTroubles(
  target: CheckTarget,
  before: readonly TargetCheck[],
  after: readonly TargetCheck[],
): readonly Support[] {
  const findingsOf = (checks: readonly TargetCheck[]): TargetCheck['findings'] =>
    checks.find((one) => one.target === target)?.findings ?? [];
  const known = new Set(findingsOf(before).map(({ op, support }) => `${op} ${support}`));
  return findingsOf(after)
    .filter(({ op, support }) => !known.has(`${op} ${support}`))
    .map(({ support }) => support);
}
