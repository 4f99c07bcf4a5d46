/** `zeropoint quantize --dry-run`: what would be done, and about what size comes out. Nothing is written, and only gptq runs the model. */
import {
  prepare,
  writeModel,
  type Float16Report,
  type Model,
  type PlannedNode,
  type SkippedNode,
  type WriteModelOptions,
} from 'zeropoint/onnx';
import { totalSize } from '../files.ts';
import type { Outcome } from '../frame.ts';
import { bytes, percent, table } from '../table.ts';
import { placement } from './output-form.ts';
import type { QuantizeJob } from './quantize.ts';
import { halfLines, nodeLines } from './node-lines.ts';
import { withoutData } from './without-data.ts';

interface DryRun {
  readonly input: string;
  readonly output: string;
  readonly mode: QuantizeJob['choice'];
  readonly size: number;
  readonly expectedSize: number;
  readonly quantized: readonly { readonly node: string; readonly opType: string }[];
  readonly skipped: readonly SkippedNode[];
  /** Where it would compute in 16 bits: what that would do. */
  readonly float16?: Float16Report;
}

export async function dryRun(job: QuantizeJob): Promise<Outcome> {
  const size = await totalSize(job.input, job.original);
  const plan = job.choice.mode === 'static' ? staticPlan(job, size) : await exactPlan(job);
  const { input, output, choice } = job;
  const json: DryRun = { input, output, mode: choice, size, ...plan };
  return { json, text: () => describe(json) };
}

type Plan = Pick<DryRun, 'expectedSize' | 'quantized' | 'skipped' | 'float16'>;

/** Quick enough, but for gptq, to be done for once and thrown away: the size is exact. */
async function exactPlan(job: QuantizeJob): Promise<Plan> {
  const { names } = job.options;
  const { model: written, report } = await withoutData(job, { ...(names && { names }) });
  const expectedSize = await writtenSize(written, placement(job.options));
  if (report.mode === 'float16') return { expectedSize, quantized: [], skipped: [], float16: report };
  const { quantized, skipped, float16 } = report;
  return { expectedSize, quantized, skipped, ...(float16 && { float16 }) };
}

async function writtenSize(model: Model, options: WriteModelOptions): Promise<number> {
  const nowhere = (): { write: () => void; sibling: () => { write: () => void } } => ({
    write: () => undefined,
    sibling: nowhere,
  });
  const files = await writeModel(model, nowhere(), options);
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** A quarter of each float32 weight stays; scales and new nodes are not counted. */
function staticPlan({ model, mapping, plan, options: { coverage } }: QuantizeJob, size: number): Plan {
  const { nodes, skipped } = plan?.plan ?? prepare(model, mapping, { coverage });
  const saved = nodes.reduce((sum, node) => sum + (weightBytes(model, node) * 3) / 4, 0);
  return {
    expectedSize: Math.round(size - saved),
    quantized: nodes.map(({ node, opType }) => ({ node, opType })),
    skipped,
  };
}

function weightBytes(model: Model, planned: PlannedNode): number {
  const weight = model.graph.value(planned.output)?.producer?.inputs[1]?.constant;
  return weight?.elementType === 'float32' ? weight.byteLength : 0;
}

function describe({ mode, input, output, size, expectedSize, quantized, skipped, float16 }: DryRun): string {
  const head = table([
    ['would write', `${output}  (from ${input})`],
    ['size', `${bytes(size)} → about ${bytes(expectedSize)}  (${percent(expectedSize / size)})`],
  ]);
  const integers = mode.mode === 'float16' ? '' : nodeLines({ quantized, skipped });
  return `${head}\n${integers}${float16 === undefined ? '' : halfLines(float16)}`;
}
