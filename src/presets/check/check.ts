/**
 * Whether a model runs where it is meant to, by what was probed of each release of onnxruntime: every node is looked up by
 * operator, version and types. Nothing is loaded or run, and no weight is read.
 */
import { checkOptions, type Rule } from '../../errors/check-options.ts';
import { listOf, oneOf, TEXT } from '../../errors/option-rules.ts';
import { READ_RULES, readModel, type ReadModelOptions } from '../../formats/onnx/read-model.ts';
import type { SourceLike } from '../../formats/source.ts';
import { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inlineFunctions } from '../../passes/inline-functions.ts';
import {
  BackendLookup,
  CHECK_TARGETS,
  type CheckTarget,
  type Found,
  type ProbedBackend,
  type Support,
} from '../backends/table.ts';
import { backendTable } from '../backends/tables.ts';
import { adviceFor } from './advice.ts';
import { nodeTypes } from './node-types.ts';
import { removedNodes } from './removed-nodes.ts';

/** Where to look. */
export interface CheckOptions extends Pick<ReadModelOptions, 'maxStructureBytes'> {
  /** Default: all. */
  readonly targets?: readonly CheckTarget[];
  /** A release of onnxruntime, `1.30`. Default: the newest that was probed. */
  readonly version?: string;
}

/** Nodes of one operator, version and types that are not simply computed where they are meant to be. */
export interface CheckFinding {
  readonly support: Exclude<Support, 'runs'>;
  /** `Conv`, `com.microsoft.MatMulNBits`. */
  readonly op: string;
  /** The version of the operator that the model's opset means; null if it was not probed. */
  readonly version: number | null;
  /** Element types and what else chooses a kernel: `float32/4bit/zp`; `?` where the file does not tell. */
  readonly types: string;
  readonly count: number;
  /** Labels of the nodes. */
  readonly nodes: readonly string[];
  /** What to do. */
  readonly advice: string;
}

/** What is known of a model on one target. */
export interface TargetCheck extends ProbedBackend {
  readonly target: CheckTarget;
  /** Day of the probe. */
  readonly probed: string;
  /** Of the worst node. */
  readonly verdict: Support;
  /** Nodes of the model, those in bodies included. */
  readonly nodes: number;
  /** Worst first. */
  readonly findings: readonly CheckFinding[];
}

/** What {@link check} found. */
export interface CheckReport {
  /** Release of onnxruntime. */
  readonly version: string;
  readonly targets: readonly TargetCheck[];
}

const RULES = {
  maxStructureBytes: READ_RULES.maxStructureBytes,
  targets: listOf(oneOf(...CHECK_TARGETS)),
  version: TEXT,
} satisfies Record<keyof CheckOptions, Rule>;

/** Worst first. */
const ORDER: readonly Support[] = [
  'missing',
  'wrong numbers',
  'unknown',
  'falls back',
  'needs shader-f16',
  'runs',
];

/** True if a target cannot be used: it refuses the model, or gives other numbers than the CPU. */
export function failsCheck(support: Support): boolean {
  return support === 'missing' || support === 'wrong numbers';
}

/**
 * Looks up every node of a model, bodies of If, Loop and Scan and local functions included. A node whose inputs are all
 * constants is computed once, on the CPU, whatever the target; Identity and Dropout that the runtime takes out run
 * everywhere.
 *
 * @throws TypeError for an option that does not exist or is of another type; RangeError for a target or version that was not
 *   probed; what readModel throws
 * @example
 * const { targets } = await check('model_q4.onnx', { targets: ['ort-web-webgpu'] });
 * for (const { op, support, advice } of targets[0].findings) console.log(op, support, advice);
 */
export async function check(source: Model | SourceLike, options: CheckOptions = {}): Promise<CheckReport> {
  checkOptions('check', options, RULES);
  const { targets = CHECK_TARGETS, version, maxStructureBytes } = options;
  if (targets.length === 0) throw new RangeError('check: expected at least one target, got none');
  const table = backendTable(version);
  const read = source instanceof Model ? source : await readModel(source, { maxStructureBytes });
  const model = read.functions.length === 0 ? read : (await inlineFunctions(read)).model;
  const nodes = lookUp(model, new BackendLookup(table));
  return {
    version: table.version,
    targets: [...new Set(targets)].map((target) => {
      const backend = table.backends[target];
      const findings = findingsOn(target, backend, nodes);
      return {
        target,
        ...backend,
        probed: table.date,
        verdict: findings[0]?.support ?? 'runs',
        nodes: nodes.length,
        findings,
      };
    }),
  };
}

/** A node, and what the table says of it. */
interface Looked {
  readonly node: Node;
  readonly opset: number;
  readonly found: Found;
  /** Computed from constants when the model is loaded. */
  readonly isFolded: boolean;
  /** Taken out when the model is loaded. */
  readonly isRemoved: boolean;
}

function lookUp(model: Model, lookup: BackendLookup): readonly Looked[] {
  const typeOf = nodeTypes(model);
  const folded = new Set<Value>();
  const removed = removedNodes(model);
  const looked: Looked[] = [];
  for (const node of model.graph.allNodes()) {
    const opset = model.opsetImports.get(node.domain) ?? 0;
    const isFolded = isConstant(node, folded);
    if (isFolded) for (const output of node.outputs) if (output !== undefined) folded.add(output);
    const found = lookup.find(node, opset, typeOf);
    looked.push({ node, opset, found, isFolded, isRemoved: removed.has(node) });
  }
  return looked;
}

/** What onnxruntime leaves as it is though its inputs are constants: weights stay small, draws stay random. */
const NOT_FOLDED = /^(DequantizeLinear|QuantizeLinear|Random\w+|Multinomial|Bernoulli|If|Loop|Scan)$/;

function isConstant(node: Node, folded: ReadonlySet<Value>): boolean {
  if (node.domain !== '' || NOT_FOLDED.test(node.opType)) return false;
  return node.inputs.every(
    (input) => input === undefined || input.constant !== undefined || folded.has(input),
  );
}

/** What is taken out needs no kernel; what is folded on WebGPU is folded by the CPU kernels of the same file. */
function supportOf(looked: Looked, target: CheckTarget, { newestOpset }: ProbedBackend): Support {
  const { opset, found, isFolded, isRemoved } = looked;
  const { version, support } = found;
  const own = support[target];
  if (isRemoved && version !== undefined && opset <= newestOpset) return 'runs';
  if (!isFolded || target !== 'ort-web-webgpu') return own;
  if (own === 'falls back') return 'runs';
  return own === 'needs shader-f16' ? support['transformersjs-wasm'] : own;
}

function findingsOn(
  target: CheckTarget,
  backend: ProbedBackend,
  nodes: readonly Looked[],
): readonly CheckFinding[] {
  const groups = new Map<string, Looked[]>();
  for (const looked of nodes) {
    const support = supportOf(looked, target, backend);
    if (support === 'runs') continue;
    const key = [support, looked.node.qualifiedOp, looked.found.signature].join(' ');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [looked]);
    else group.push(looked);
  }
  return [...groups.values()]
    .map((group) => findingOf(group, target, backend))
    .toSorted(
      (a, b) =>
        ORDER.indexOf(a.support) - ORDER.indexOf(b.support) || b.count - a.count || (a.op < b.op ? -1 : 1),
    );
}

function findingOf(group: readonly Looked[], target: CheckTarget, backend: ProbedBackend): CheckFinding {
  const [{ node, opset, found }] = group;
  // Groups hold nodes that do not simply run.
  const support = supportOf(group[0], target, backend) as CheckFinding['support'];
  return {
    support,
    op: node.qualifiedOp,
    version: found.version ?? null,
    types: found.signature,
    count: group.length,
    nodes: group.map((looked) => looked.node.label),
    advice: adviceFor(support, {
      op: node.qualifiedOp,
      opset: node.domain === '' ? opset : undefined,
      found,
      target,
      backend,
    }),
  };
}
