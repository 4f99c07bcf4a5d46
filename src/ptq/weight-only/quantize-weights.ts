/**
 * Weight-only quantization: constant weights in blocks of 2, 4 or 8 bits, activations as they are. Data for gptq alone.
 * Which nodes: targets.ts. What stands there afterwards: forms.ts. Bodies of If, Loop and Scan are included.
 *
 * Weights are read and quantized one at a time, in tiles; what goes beyond 128 MiB of results is computed when the model is
 * written (derived-constants.ts), so memory does not grow with the model.
 *
 * Defaults: 4 bits, blocks of 32, zero points, accuracy level 4, embeddings in 8 bits. On a decoder of 134 M weights zero
 * points gave 0.6 dB and seven more tokens of a hundred for 1 % of size and no time; level 4 gave twice the speed of
 * level 0 for 0.1 dB; blocks of 32 are what WebGPU's fused kernels want, blocks of 128 are faster on a CPU and 2 dB worse.
 */
import { checkOptions } from '../../errors/check-options.ts';
import { checkModel, type Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Converted, CopyOptions } from '../convert.ts';
import { COPY_RULES } from '../option-rules.ts';
import { quantizeCopy, type Work } from '../quantize-copy.ts';
import {
  resolveOptions,
  SettingsResolver,
  type QuantizeWeightsOptions,
  type ResolvedOptions,
} from './options.ts';
import { findTarget, type Target } from './targets.ts';
import { WeightsJob } from './weights-job.ts';

/** Add broadcasts since this opset. */
const LEAST_OPSET = 7;
/** DequantizeLinear has block_size, and int4, since this opset and IR version; older models are raised to it. */
const BLOCK_OPSET = 21;
const INT4_IR_VERSION = 10;

/**
 * Quantizes the weights of MatMul, Gemm, plain Einsum and FusedMatMul, and Gather. The model is not changed.
 *
 * @throws RangeError for an option that does not exist, an override that names no node with a weight, or a QConfigMapping
 *   with a name or pattern that is about no node;
 *   UnsupportedError UNSUPPORTED_OPSET below opset 7, UNSUPPORTED_FEATURE for gptq of a product of more than 16,384 inputs; GraphError if the model is quantized already, has no weight that can
 *   be, or one holds NaN or an infinity (beyond 128 MiB of results writeModel throws that); TypeError for gptq without
 *   batches, CalibrationError for batches that are empty or give values that are not finite
 */
export async function quantizeWeights(
  model: Model,
  options: QuantizeWeightsOptions = {},
  job: CopyOptions = {},
): Promise<Converted> {
  checkModel('quantizeWeights', model);
  checkOptions('quantizeWeights', job, COPY_RULES);
  const resolved = resolveOptions(options);
  const { qconfigMapping: mapping } = resolved;
  const edit = (copy: Model): Promise<Work> => quantizeAll(copy, resolved, job);
  const raiseTo = resolved.format === 'dequantize-linear' ? BLOCK_OPSET : undefined;
  const { allowQuantized } = job;
  return quantizeCopy(model, {
    mode: 'weight-only',
    leastOpset: LEAST_OPSET,
    raiseTo,
    mapping,
    allowQuantized,
    edit,
  });
}

async function quantizeAll(model: Model, options: ResolvedOptions, job: CopyOptions): Promise<Work> {
  const { names = 'short', signal, onProgress } = job;
  const work = new WeightsJob(options, names);
  const resolver = new SettingsResolver(options);
  const targets = chooseTargets(model, options, resolver, work);
  resolver.checkUsed();
  const seeing = targets.filter(({ settings }) => settings.algorithm === 'gptq').map(({ target }) => target);
  work.calibrate(model, seeing, job);
  for (const [index, { target, settings }] of targets.entries()) {
    signal?.throwIfAborted();
    await work.quantize(target, settings);
    onProgress?.({ stage: 'convert', done: index + 1, total: targets.length, unit: 'weights' });
  }
  work.finish();
  if (options.format === 'dequantize-linear') model.irVersion = Math.max(model.irVersion, INT4_IR_VERSION);
  return work;
}

type Chosen = { readonly target: Target; readonly settings: ReturnType<SettingsResolver['settings']> };

/** All targets that are wanted; every other node goes to `work.skipped`. */
function chooseTargets(
  model: Model,
  options: ResolvedOptions,
  resolver: SettingsResolver,
  work: WeightsJob,
): Chosen[] {
  const chosen: Chosen[] = [];
  const nodes = [...model.graph.allNodes()];
  const wanted = wantedNodes(nodes, options);
  for (const node of nodes) {
    if (node.is('Constant')) continue;
    const found = findTarget(node, options.format);
    if ('reason' in found) {
      work.skip(node, found.reason);
      continue;
    }
    const settings = resolver.settings(node, found.kind);
    const reason = unwanted(node, wanted, options) ?? work.obstacle(found, settings);
    if (reason === undefined) chosen.push({ target: found, settings });
    else work.skip(node, reason);
  }
  return chosen;
}

/** The nodes that the mapping, if there is one, does not leave in float. */
function wantedNodes(nodes: readonly Node[], { qconfigMapping }: ResolvedOptions): ReadonlySet<Node> {
  if (qconfigMapping === undefined) return new Set(nodes);
  const queries = nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name }));
  const qconfigs = qconfigMapping.resolveAll(queries);
  return new Set(nodes.filter((_node, i) => qconfigs[i] !== undefined));
}

function unwanted(
  node: Node,
  wanted: ReadonlySet<Node>,
  { embeddings }: ResolvedOptions,
): string | undefined {
  if (node.is('Gather') && embeddings === false) return 'embeddings are to stay in float';
  return wanted.has(node) ? undefined : 'the QConfigMapping leaves it in float';
}
