/**
 * Identity and Dropout that onnxruntime takes out of a model when it loads it, before kernels are chosen: they need none.
 * It computes nothing in training mode, so that Dropout is an Identity whatever its ratio and training_mode. Tried with
 * --run in onnxruntime 1.30 for Dropout 7, 10, 12, 13 and 22.
 *
 * Cases:
 * 1. Output 0 is read by nodes and is no output of a graph, and nobody reads a mask. Input 0 comes from a node of the same
 *    graph and no other input does; or there is one input alone, which comes from anywhere.
 * 2. Identity whose output is an output of a graph and nothing else, if its input comes from a node of the same graph, is no
 *    output itself, and nobody else reads it: the node before it gives the output.
 * 3. Anything else is left. So is a node whose input and output are both read in bodies: the runtime would have to give what
 *    a body reads a name that it has already.
 */
import type { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';

/** Nodes that were taken out, and what those that read them read instead. */
type Sources = Map<Node, Value>;

/** The nodes of a model that is in topological order, those in bodies included. */
export function removedNodes(model: Model): ReadonlySet<Node> {
  const sources: Sources = new Map();
  const inBodies = valuesReadInBodies(model);
  for (const node of model.graph.allNodes()) {
    if (!node.is('Identity') && !node.is('Dropout')) continue;
    const source = sourceOf(node.inputs[0], sources);
    if (source !== undefined && isRemoved(node, source, { sources, inBodies })) sources.set(node, source);
  }
  return new Set(sources.keys());
}

interface Seen {
  readonly sources: Sources;
  readonly inBodies: ReadonlySet<Value>;
}

function isRemoved(node: Node, source: Value, { sources, inBodies }: Seen): boolean {
  const [input, ...others] = node.inputs;
  const [output, ...masks] = node.outputs;
  if (input === undefined || output === undefined) return false;
  const isFromNode = isGivenBeside(node, source);
  if (output.isOutput) {
    const isLast = node.is('Identity') && output.uses.size === 0;
    return isLast && isFromNode && !source.isOutput && hasOneReader(source, sources);
  }
  if (masks.some((mask) => mask?.isUnused === false)) return false;
  if (inBodies.has(output) && (inBodies.has(input) || inBodies.has(source))) return false;
  return isFromNode
    ? !others.some((other) => isGivenBeside(node, sourceOf(other, sources)))
    : others.length === 0;
}

/** What stands at an input once the nodes before it are taken out. */
function sourceOf(value: Value | undefined, sources: Sources): Value | undefined {
  const { producer } = value ?? {};
  return (producer && sources.get(producer)) ?? value;
}

/** True for what a node of the same graph gives; what a body reads from outside is an input to it, and Constant an initializer. */
function isGivenBeside({ graph }: Node, value: Value | undefined): boolean {
  return value?.producer !== undefined && value.constant === undefined && value.producer.graph === graph;
}

/** Whether one input alone reads a value once the nodes between are taken out. */
function hasOneReader(value: Value, sources: Sources): boolean {
  let count = 0;
  const values = [value];
  for (let at = values.pop(); at !== undefined && count < 2; at = values.pop()) {
    for (const { node } of at.uses) {
      const passedOn = sources.has(node) ? node.outputs[0] : undefined;
      if (passedOn !== undefined) values.push(passedOn);
      else if (++count > 1) break;
    }
  }
  return count === 1;
}

function valuesReadInBodies(model: Model): ReadonlySet<Value> {
  const found = new Set<Value>();
  for (const node of model.graph.allNodes())
    for (const input of node.inputs) if (input !== undefined && input.graph !== node.graph) found.add(input);
  return found;
}
