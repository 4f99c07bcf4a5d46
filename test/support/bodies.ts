/** Models whose products lie in bodies of If, Loop and Scan. */
import { tensor, type Tensor } from 'zeropoint';
import {
  attr,
  buildModel,
  tensorType,
  type Graph,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { random } from './graphs.ts';

/** Their input x is [K, K]. */
export const K = 24;
const TURNS = 3;

/** The input of {@link ifModel} that says which branch is taken. */
export const condition = (value: boolean): Tensor => tensor(Uint8Array.of(value ? 1 : 0), [], 'bool');

/** A weight as most exporters put it into a body. */
export function constantNode(b: GraphBuilder, seed: number): Value {
  return b.op('Constant', [], { value: random([K, K], seed) });
}

export const branch = (b: GraphBuilder, name: string, build: (body: GraphBuilder) => Value): Graph =>
  b.body(name, (body) => {
    const result = build(body);
    body.graph.addOutput(result);
    result.type = tensorType('float32', [K, K]);
  });

/** Products with a weight of their own in each branch, one that both graphs read, and one outside. */
export function ifModel(outside: boolean): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [K, K]);
    const taken = b.input('condition', 'bool', []);
    const shared = b.constant('shared', random([K, K], 2));
    const y = b.op('If', [taken], {
      then_branch: attr.graph(branch(b, 'then', (t) => t.op('MatMul', [x, constantNode(t, 3)]))),
      else_branch: attr.graph(
        branch(b, 'else', (e) => e.op('MatMul', [e.op('Relu', [e.op('MatMul', [x, shared])]), shared])),
      ),
    });
    const sum = outside ? b.op('Add', [y, b.op('MatMul', [x, shared])]) : y;
    b.output(sum, 'y', 'float32', [K, K]);
  });
}

/** y = relu(y · W) + x · V at each turn, with x from outside. */
export function loopModel(): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [K, K]);
    const outer = b.constant('outer', random([K, K], 5));
    const body = b.body('body', (t) => {
      t.input('turn', 'int64', []);
      const go = t.input('go', 'bool', []);
      const y = t.input('state', 'float32', [K, K]);
      t.output(t.op('Identity', [go]), 'go_out', 'bool', []);
      const next = t.op('Relu', [t.op('MatMul', [y, constantNode(t, 4)])]);
      const scaled = t.op('Mul', [next, t.constant('small', tensor([0.25]))]);
      t.output(t.op('Add', [scaled, t.op('MatMul', [x, outer])]), 'state_out', 'float32', [K, K]);
    });
    const turns = b.constant('turns', tensor(BigInt64Array.of(BigInt(TURNS)), []));
    const y = b.op('Loop', [turns, b.constant('yes', condition(true)), x], {
      body: attr.graph(body),
    });
    b.output(y, 'y', 'float32', [K, K]);
  });
}

/** Rows of x, one a turn, each times W. */
export function scanModel(): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [K, K]);
    const w = b.constant('w', random([K, K], 6));
    const body = b.body('body', (t) => {
      const row = t.input('row', 'float32', [K]);
      const matrix = t.op('Unsqueeze', [row, t.constant('axes', tensor(BigInt64Array.of(0n), [1]))]);
      t.output(t.op('MatMul', [matrix, w]), 'out', 'float32', [1, K]);
    });
    b.output(b.op('Scan', [x], { body: attr.graph(body), num_scan_inputs: 1 }), 'y', 'float32', [K, 1, K]);
  });
}
