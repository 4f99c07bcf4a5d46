/** What the ways of quantizing without fixed ranges share: checks and a clean copy before, a signed model and its report after. */
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { checkOpset } from '../graph/opset.ts';
import { getBackend } from '../kernels/backend.ts';
import { clean } from '../passes/clean.ts';
import { inlineFunctions } from '../passes/inline-functions.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { raiseOpset } from '../passes/raise-opset.ts';
import { removeUnusedInPlace } from '../passes/remove-unused.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { checkMapping } from './check-mapping.ts';
import { checkNotQuantized, checkSomethingQuantized } from './check-model.ts';
import type { Converted } from './convert.ts';
import type { QuantizationReport } from './report.ts';
import { signModel } from './version.ts';

/** From this IR version on initializers need not be graph inputs. */
const FREE_INITIALIZERS_IR = 4;

/** Operators of onnxruntime's own. */
export const MICROSOFT = 'com.microsoft';

/** What was done to the nodes of the copy; those of local functions are counted by {@link quantizeCopy}. */
export type Work = Pick<QuantizationReport, 'quantized' | 'skipped' | 'weights'> &
  Partial<Pick<QuantizationReport, 'samples'>>;

export interface CopyJob {
  readonly mode: QuantizationReport['mode'];
  /** Oldest opset that is taken as it is. */
  readonly leastOpset?: number;
  /** Older models are raised to this opset; where it depends on what is found in the clean model, a function says it. */
  readonly raiseTo?: number | ((cleaned: Model) => number);
  /** Each name and pattern in it must be about a node of the model, or of a local function that is put in its place. */
  readonly mapping?: QConfigMapping | undefined;
  readonly allowQuantized?: boolean | undefined;
  /** Edits the copy, which it may. */
  readonly edit: (copy: Model) => Promise<Work>;
}

/**
 * Runs `edit` on a clean copy of a model.
 *
 * @throws UnsupportedError for an opset below the least; GraphError GRAPH_NOT_QUANTIZABLE if the model is quantized
 *   already, or nothing came of it; RangeError if a name or pattern of `mapping` is about no node
 */
export async function quantizeCopy(
  model: Model,
  { mode, leastOpset, raiseTo, mapping, allowQuantized, edit }: CopyJob,
): Promise<Converted> {
  if (mapping !== undefined) checkMapping(mapping, model, (await inlineFunctions(model)).model);
  checkOpset(model, leastOpset);
  if (allowQuantized !== true) checkNotQuantized(model);
  const cleaned = (await clean(model)).model;
  const opset = typeof raiseTo === 'function' ? raiseTo(cleaned) : raiseTo;
  const ready = opset === undefined ? cleaned : (await raiseOpset(cleaned, opset)).model;
  const copy = ready === model ? model.clone() : ready;
  freeInitializers(copy);
  const work = await edit(copy);
  const skipped = [...work.skipped, ...functionNodes(copy)];
  checkSomethingQuantized(work.quantized.length, skipped);
  removeUnusedInPlace(copy);
  importMicrosoft(copy);
  signModel(copy);
  const report = {
    mode,
    quantized: work.quantized,
    skipped,
    weights: work.weights,
    activations: [],
    absorbed: [],
    samples: work.samples ?? 0,
    backend: getBackend(),
    ...(copy.opset === model.opset ? {} : { raisedOpset: { from: model.opset, to: copy.opset } }),
  } as const;
  return { model: copy, report };
}

/** Old files list every initializer among the inputs; so the weights would stay in the file, and new ones could not come. */
function freeInitializers(model: Model): void {
  if (model.irVersion >= FREE_INITIALIZERS_IR) return;
  const free = (graph: Graph): void => graph.setInputs(graph.inputs.filter((value) => !value.isInitializer));
  free(model.graph);
  model.irVersion = FREE_INITIALIZERS_IR;
}

/** Says that the model speaks onnxruntime's own operators, if it does now. */
function importMicrosoft({ graph, opsetImports }: Model): void {
  if (opsetImports.has(MICROSOFT)) return;
  if ([...graph.allNodes()].some(({ domain }) => domain === MICROSOFT)) opsetImports.set(MICROSOFT, 1);
}

/** What is left of local functions could not be put where it is called; see inlineFunctions. */
function functionNodes(model: Model): SkippedNode[] {
  return model.functions.flatMap(({ body, name }) =>
    [...body.allNodes()]
      .filter((node) => !node.is('Constant'))
      .map((node) => ({
        node: node.label,
        opType: node.qualifiedOp,
        reason: `it lies in the local function ${name}`,
      })),
  );
}
