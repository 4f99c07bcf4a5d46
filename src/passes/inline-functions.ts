/**
 * Calls of local functions become what the functions compute, so that quantization sees their MatMul and Conv. Exporters
 * that keep modules (torch.onnx, onnxscript) write such functions. Semantics: ONNX IR, "Functions", and FunctionProto in
 * onnx.proto.
 *
 * Cases:
 * 1. A call, in the main graph or in a body of If, Loop or Scan: copies of the function's nodes stand in its place, calls
 *    among them too. Their names begin with the call's; the values that the call gave keep theirs.
 * 2. Inputs that the call leaves out are absent inside. A reference to an attribute becomes the call's attribute, the
 *    function's default, or nothing.
 * 3. Operator sets that the function imports and the model does not become the model's. Where the two import different
 *    versions of one that the function's nodes are of: left.
 * 4. Functions that call themselves, on whatever way: left. ONNX forbids them.
 * 5. Functions in the name of a runtime's own operators (a decomposition of com.microsoft.Gelu, say): left. ONNX lets the
 *    runtime choose, and those that have the operator have a kernel for it.
 * 6. Calls that do not fit the function, and more than {@link MOST_NODES} nodes: left.
 * 7. Functions that nothing calls, from the beginning or by now: removed, with the operator sets that only they were of.
 */
import type { Attribute } from '../graph/attribute.ts';
import { copyNodesInto, type Copies, type CopyChanges } from '../graph/clone.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model, ModelFunction } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import { sortedNodes } from '../graph/sort.ts';
import type { Value } from '../graph/value.ts';
import type { ValueType } from '../graph/value-type.ts';
import { FunctionTable } from './function-table.ts';
import { onCopy, type PassResult, type SkippedNode } from './pass.ts';

/** Calls within calls can multiply: ten levels of ten calls are 10^10 nodes. The largest models have some 10^5. */
const MOST_NODES = 100_000;

/** Operator sets of runtimes. */
const RUNTIME_DOMAINS: ReadonlySet<string> = new Set(['', 'ai.onnx.ml', 'com.microsoft']);

/**
 * Puts the nodes of local functions where they are called; see the cases above. `skipped` names the calls that are left.
 *
 * @example const { model: flat, skipped } = await inlineFunctions(await readModel('exported.onnx'));
 */
export function inlineFunctions(model: Model): Promise<PassResult> {
  const nothing = { model, modified: false, skipped: [] };
  return model.functions.length === 0 ? Promise.resolve(nothing) : onCopy(model, inlineFunctionsInPlace);
}

/** The same on a model that the caller owns. */
export async function inlineFunctionsInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  if (model.functions.length === 0) return { modified: false, skipped: [] };
  const inliner = new Inliner(model);
  inliner.inlineIn(model.graph);
  const removed = removeUncalled(model, inliner.table);
  const modified = inliner.copied > 0 || removed;
  return { modified, skipped: inliner.skipped };
}

class Inliner {
  readonly #model: Model;
  readonly table: FunctionTable;
  readonly skipped: SkippedNode[] = [];
  /** Calls that were replaced. */
  copied = 0;
  #nodes = 0;

  constructor(model: Model) {
    this.#model = model;
    this.table = new FunctionTable(model);
  }

  inlineIn(graph: Graph): void {
    const pending = graph.nodes.toArray().reverse();
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      for (const body of node.subgraphs) this.inlineIn(body);
      const called = this.table.calledBy(node);
      if (called === undefined) continue;
      const reason = this.#refusal(node, called);
      if (reason === undefined)
        for (const made of this.#inline(graph, node, called).reverse()) pending.push(made);
      else this.skipped.push({ node: node.label, opType: node.qualifiedOp, reason });
    }
  }

  #refusal(call: Node, called: ModelFunction): string | undefined {
    if (RUNTIME_DOMAINS.has(called.domain)) return 'its function stands for an operator of runtimes';
    if (this.table.isRecursive(called)) return 'its function calls itself';
    return misfit(call, called) ?? this.#conflict(called) ?? this.#excess(called);
  }

  #conflict(called: ModelFunction): string | undefined {
    for (const domain of this.table.operatorSetsOf(called)) {
      const [wanted, given] = [called, this.#model].map(({ opsetImports }) => opsetImports.get(domain));
      if (wanted !== undefined && given !== undefined && wanted !== given) {
        return `its function is of version ${wanted} of operator set ${domain || 'ai.onnx'}, the model of version ${given}`;
      }
    }
    return undefined;
  }

  #excess(called: ModelFunction): string | undefined {
    const count = this.#nodes + this.table.sizeOf(called);
    return count > MOST_NODES
      ? `the model would have more than ${MOST_NODES} nodes from functions`
      : undefined;
  }

  #inline(graph: Graph, call: Node, called: ModelFunction): Node[] {
    this.copied++;
    this.#nodes += this.table.sizeOf(called);
    for (const [domain, version] of called.opsetImports) {
      if (!this.#model.opsetImports.has(domain)) this.#model.opsetImports.set(domain, version);
    }
    const copies: Copies = new Map(called.body.inputs.map((formal, index) => [formal, call.inputs[index]]));
    const nodes = copyNodesInto(graph, sortedNodes(called.body), {
      copies,
      changes: changesOf(graph, call, called),
      place: { before: call },
    });
    replaceCall(
      graph,
      call,
      called.body.outputs.map((output) => copies.get(output)),
    );
    return nodes;
  }
}

function changesOf(graph: Graph, call: Node, { name, attributeDefaults }: ModelFunction): CopyChanges {
  const prefix = call.name === '' ? name : call.name;
  const given = (attribute: string): Attribute | undefined =>
    call.attributes.get(attribute) ?? attributeDefaults.get(attribute);
  return {
    valueName: (inside) => graph.freshName(`${prefix}/${inside}`),
    nodeName: (inside) => graph.freshNodeName(`${prefix}/${inside}`),
    type: withoutAxisNames,
    attribute: (attribute) => (attribute.kind === 'reference' ? given(attribute.value) : attribute),
  };
}

/** A name of an axis means one size in one graph: the function's own names would mean others in the caller's. */
function withoutAxisNames(type: ValueType): ValueType {
  if (type.kind !== 'tensor' && type.kind !== 'sparse_tensor') return type;
  return { ...type, dims: type.dims?.map((dim) => (typeof dim === 'string' ? undefined : dim)) };
}

/** Whoever used what the call gave uses `results`, under the old names where a node gives them. */
function replaceCall(graph: Graph, call: Node, results: readonly (Value | undefined)[]): void {
  const renamed = new Map<Value, string>();
  call.outputs.forEach((output, index) => {
    const result = results[index];
    // A result that is absent was refused, if somebody wants it.
    if (output === undefined || result === undefined) return;
    const { name, isOutput, type } = output;
    const isMade = !call.inputs.includes(result);
    if (isMade) result.type = type ?? result.type;
    if (isMade && !isOutput) renamed.set(result, name);
    graph.replaceAllUses(output, result);
  });
  graph.removeNode(call);
  for (const [result, name] of renamed) if (!result.isOutput) graph.rename(result, name);
}

/** What is wrong with a call; undefined if it fits. */
function misfit(call: Node, { body }: ModelFunction): string | undefined {
  for (const part of ['inputs', 'outputs'] as const) {
    // What is absent at the end need not be written.
    const given = call[part].findLastIndex((value) => value !== undefined) + 1;
    const most = body[part].length;
    if (given > most) return `it has ${given} ${part}, its function ${most}`;
  }
  const absent = new Set(body.inputs.filter((_, index) => call.inputs[index] === undefined));
  const wanted = body.outputs.filter((_, index) => call.outputs[index]?.isUnused === false);
  const inner = [...body.allNodes()].flatMap(({ subgraphs }) => subgraphs.flatMap(({ outputs }) => outputs));
  const missing = [...wanted, ...inner].find((value) => absent.has(value));
  return missing && `its function gives input ${missing.name} as it came, and it came as none`;
}

function removeUncalled(model: Model, table: FunctionTable): boolean {
  const called = table.reachedFrom(model.graph);
  const gone = model.functions.filter((candidate) => !called.has(candidate));
  if (gone.length === 0) return false;
  model.functions.splice(0, model.functions.length, ...called);
  const graphs = [model.graph, ...model.functions.map(({ body }) => body)];
  const used = new Set(graphs.flatMap((graph) => Array.from(graph.allNodes(), ({ domain }) => domain)));
  for (const { domain } of gone) {
    if (!RUNTIME_DOMAINS.has(domain) && !used.has(domain)) model.opsetImports.delete(domain);
  }
  return true;
}
