import { describe, expect, it } from 'vitest';
import { GraphError } from '../errors.ts';
import { tensor } from '../tensor/tensor.ts';
import { attr } from './attribute.ts';
import { buildGraph, buildModel, type GraphBuilder } from './build.ts';
import { Graph } from './graph.ts';
import type { Node } from './node.ts';
import { printGraph } from './print.ts';
import { isSorted } from './sort.ts';
import { tensorType } from './value-type.ts';

/** x -> MatMul(x, w) -> Relu -> y */
function mlp(b: GraphBuilder): void {
  const x = b.input('x', 'float32', ['N', 2]);
  const w = b.constant('w', tensor([[1], [2]]));
  b.output(b.op('Relu', [b.op('MatMul', [x, w], {}, 'h')]), 'y', 'float32', ['N', 1]);
}

/** An If whose branches use `x` of the graph around them. */
function branching(b: GraphBuilder): void {
  const x = b.input('x', 'float32', [2]);
  const cond = b.input('cond', 'bool', []);
  const then = b.body('then', (t) => t.output(t.op('Relu', [x]), 'a'));
  const otherwise = b.body('else', (e) => e.output(e.op('Neg', [x]), 'b'));
  const attributes = { then_branch: attr.graph(then), else_branch: attr.graph(otherwise) };
  b.output(b.op('If', [cond], attributes), 'y');
}

const nodeOf = (graph: Graph, opType: string): Node =>
  [...graph.allNodes()].find((node) => node.opType === opType) as Node;

describe('def-use links', () => {
  it('know producer, uses and consumers', () => {
    const graph = buildGraph(mlp);
    const h = graph.value('h');
    expect(h?.producer?.opType).toBe('MatMul');
    expect([...(h?.consumers ?? [])].map((node) => node.opType)).toEqual(['Relu']);
    expect(graph.value('w')?.isUnused).toBe(false);
    expect(graph.value('y')?.isOutput).toBe(true);
  });

  it('count uses in inner graphs, until the node around them goes', () => {
    const graph = buildGraph(branching);
    const x = graph.value('x');
    expect([...(x?.consumers ?? [])].map((node) => node.opType)).toEqual(['Relu', 'Neg']);
    graph.setOutputs([]);
    graph.removeNode(nodeOf(graph, 'If'));
    expect(x?.isUnused).toBe(true);
  });

  it('follow setInput, also past the end of the list', () => {
    const graph = buildGraph(mlp);
    const relu = nodeOf(graph, 'Relu');
    const x = graph.value('x');
    relu.setInput(2, x);
    expect(relu.inputs.map((value) => value?.name)).toEqual(['h', undefined, 'x']);
    relu.setInput(0, undefined);
    expect(graph.value('h')?.isUnused).toBe(true);
    expect([...(x?.uses ?? [])].map((use) => use.index)).toEqual([0, 2]);
  });

  it('refuse a value that the node cannot see', () => {
    const graph = buildGraph(branching);
    const inner = nodeOf(graph, 'Relu').outputs[0];
    expect(() => graph.addNode({ opType: 'Neg', inputs: [inner], outputs: ['z'] })).toThrow(GraphError);
  });
});

describe('replaceAllUses', () => {
  it('keeps the names of graph outputs: the replacement takes over the name', () => {
    const graph = buildGraph(mlp);
    const [y] = graph.outputs;
    const copy = graph.addNode({ opType: 'Abs', inputs: [y], outputs: ['z'] }).outputs[0]!;
    graph.replaceAllUses(y, copy, { filter: (use) => use.node !== copy.producer });
    expect(printGraph(graph)).toBe(
      [
        'graph test(x: float32[N, 2]) -> (y) {',
        '  w = constant float32[2, 1]',
        '  h = MatMul(x, w)',
        '  y_1: float32[N, 1] = Relu(h)',
        '  y: float32[N, 1] = Abs(y_1)',
        '}',
      ].join('\n'),
    );
  });

  it('puts an Identity where the replacement is an input', () => {
    const graph = buildGraph(mlp);
    graph.replaceAllUses(graph.outputs[0], graph.inputs[0]);
    expect(graph.outputs[0].name).toBe('y');
    expect(graph.outputs[0].producer?.opType).toBe('Identity');
  });

  it('reaches into inner graphs', () => {
    const graph = buildGraph(branching);
    const fresh = graph.addNode({ opType: 'Abs', inputs: [graph.inputs[1]], outputs: ['z'] });
    graph.replaceAllUses(graph.inputs[0], fresh.outputs[0]!);
    expect(nodeOf(graph, 'Neg').inputs[0]?.name).toBe('z');
  });
});

describe('editing', () => {
  it('removeNode refuses while an output is used, and removes its values else', () => {
    const graph = buildGraph(mlp);
    const relu = nodeOf(graph, 'Relu');
    expect(() => graph.removeNode(nodeOf(graph, 'MatMul'))).toThrow(/h: expected a value that nothing uses/);
    graph.setOutputs([]);
    graph.removeNode(relu);
    expect(graph.value('y')).toBeUndefined();
    expect(graph.nodes.size).toBe(1);
  });

  it('replaceNode keeps place, values and inner graphs', () => {
    const graph = buildGraph(branching);
    const old = nodeOf(graph, 'If');
    const attributes = Object.fromEntries(old.attributes);
    const [cond] = old.inputs;
    const node = graph.replaceNode(old, { opType: 'If', name: 'again', inputs: [cond], attributes });
    expect(graph.outputs[0].producer).toBe(node);
    expect([...graph.inputs[0].consumers].map((user) => user.opType)).toEqual(['Relu', 'Neg']);
  });

  it('names are defined once and fresh over the whole tree of graphs', () => {
    const graph = buildGraph(branching);
    expect(() => graph.addInitializer('x', tensor([1]))).not.toThrow();
    expect(() => graph.addInput('x')).toThrow(/twice/);
    expect(graph.freshName('a')).toBe('a_1');
    expect(graph.freshName('a')).toBe('a_2');
    expect(graph.freshName('new')).toBe('new');
  });

  it('rename changes every use', () => {
    const graph = buildGraph(mlp);
    graph.rename(graph.value('h')!, 'hidden');
    expect(nodeOf(graph, 'Relu').inputs[0]?.name).toBe('hidden');
    expect(graph.value('h')).toBeUndefined();
  });

  it('attributes: short forms and typed reading', () => {
    const graph = buildGraph((b) => {
      b.op('Conv', [b.input('x', 'float32')], { group: 2, pads: [0, 1], auto_pad: 'SAME_UPPER', alpha: 0.1 });
    });
    const conv = nodeOf(graph, 'Conv');
    expect(conv.int('group', 1)).toBe(2);
    expect(conv.int('axis', 7)).toBe(7);
    expect(conv.ints('pads')).toEqual([0, 1]);
    expect(conv.string('auto_pad', 'NOTSET')).toBe('SAME_UPPER');
    expect(conv.float('alpha', 1)).toBe(Math.fround(0.1));
    expect(() => conv.float('group', 1)).toThrow(/attribute group of kind float, got int/);
  });
});

describe('constants', () => {
  it('are initializers and outputs of Constant nodes', () => {
    const model = buildModel((b) => {
      b.op('Constant', [], { value: tensor([1, 2]) }, 'c');
      b.op('Constant', [], { value_int: 3 }, 'i');
      b.constant('w', tensor([[1]]));
    });
    expect(model.graph.value('c')?.constant?.shape).toEqual([2]);
    expect(model.graph.value('i')?.elementType).toBe('int64');
    expect(model.graph.value('w')?.staticShape).toEqual([1, 1]);
  });

  it('are not constant where the caller may override them (IR 4 and later)', () => {
    const model = buildModel((b) => b.input('w', 'float32', [1]));
    const w = model.graph.addInitializer('w', tensor([1]));
    expect(w.constant).toBeUndefined();
    model.irVersion = 3;
    expect(w.constant?.shape).toEqual([1]);
  });
});

describe('order', () => {
  it('sort is stable and respects what inner graphs use', () => {
    const graph = buildGraph(branching);
    const early = graph.addNode({ opType: 'Abs', inputs: [graph.inputs[0]], outputs: ['z'] });
    nodeOf(graph, 'Neg').setInput(0, early.outputs[0]);
    expect(isSorted(graph)).toBe(false);
    graph.sort();
    expect(isSorted(graph)).toBe(true);
    expect([...graph.nodes].map((node) => node.opType)).toEqual(['Abs', 'If']);
  });

  it('a cycle is an error that names its nodes', () => {
    const graph = buildGraph(mlp);
    const matmul = nodeOf(graph, 'MatMul');
    matmul.name = 'loop';
    matmul.setInput(0, graph.outputs[0]);
    expect(() => graph.sort()).toThrow(/cycle, got one through or before loop/);
  });

  it('100,000 nodes are built, rewired and sorted within the time of a test: nothing grows with their square', () => {
    const graph = new Graph('long');
    let value = graph.addInput('x', tensorType('float32'));
    for (let i = 0; i < 100_000; i++) {
      value = graph.addNode({ opType: 'Relu', inputs: [value], outputs: [graph.freshName('v')] }, {})
        .outputs[0]!;
    }
    graph.addOutput(value);
    for (const node of graph.nodes) {
      const twin = graph.addNode({
        opType: 'Abs',
        inputs: [node.outputs[0]],
        outputs: [graph.freshName('v')],
      });
      graph.replaceAllUses(node.outputs[0]!, twin.outputs[0]!, { filter: (use) => use.node !== twin });
    }
    graph.sort();
    expect(graph.nodes.size).toBe(200_000);
    expect(graph.outputs[0].producer?.opType).toBe('Abs');
  });
});

describe('clone', () => {
  it('has its own nodes and shares constants', () => {
    const model = buildModel(branching);
    model.graph.addInitializer('w', tensor([1, 2]));
    const before = printGraph(model.graph);
    const copy = model.clone();
    expect(printGraph(copy.graph)).toBe(before);
    expect(copy.graph.value('w')?.initializer).toBe(model.graph.value('w')?.initializer);
    expect([...copy.graph.inputs[0].consumers].every((node) => node.graph?.root === copy.graph)).toBe(true);
    copy.graph.rename(copy.graph.inputs[0], 'renamed');
    copy.graph.inputs[0].type = tensorType('int8');
    expect(printGraph(model.graph)).toBe(before);
  });
});
