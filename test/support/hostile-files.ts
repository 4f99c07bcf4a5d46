/**
 * Files that are as large as they are worthless: what costs a reader most for each of its bytes. Written field by field, as
 * no library would: a writer that makes objects first would need the memory that a reader is not to need.
 */

import { filled, message, nameOf, type Bytes } from './wire-bytes.ts';

// Fields of onnx.proto.
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, valueInfo: 13, sparse: 15 } as const;
const NODE = { input: 1, output: 2, opType: 4, attribute: 5, domain: 7 } as const;
const ATTRIBUTE = { name: 1, i: 3, g: 6, floats: 7, ints: 8, strings: 9, graphs: 11, type: 20 } as const;
const TENSOR = {
  dims: 1,
  dataType: 2,
  int32Data: 5,
  name: 8,
  raw: 9,
  externalData: 13,
  location: 14,
} as const;

const IR = 10;
const OPSET = 21;

/** `parts` are further fields of the model. */
function model(graph: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return message((out) => {
    out.int(1, IR);
    out.field(7, graph);
    out.field(
      8,
      message((opset) => opset.int(2, OPSET)),
    );
    for (const part of parts) out.raw(part);
  });
}

/** ValueInfoProto of a float32 tensor without a shape. */
const FLOAT_TYPE = message((type) =>
  type.field(
    1,
    message((tensor) => tensor.int(1, 1)),
  ),
);

function info(name: string, type: Uint8Array | undefined = FLOAT_TYPE): Uint8Array {
  return message((out) => {
    out.field(1, name);
    if (type !== undefined) out.field(2, type);
  });
}

interface NodeParts {
  readonly opType: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly attributes?: readonly Uint8Array[];
  readonly domain?: string;
}

function node({ opType, inputs = [], outputs = [], attributes = [], domain }: NodeParts): Uint8Array {
  return message((out) => {
    for (const name of inputs) out.field(NODE.input, name);
    for (const name of outputs) out.field(NODE.output, name);
    out.field(NODE.opType, opType);
    for (const attribute of attributes) out.field(NODE.attribute, attribute);
    if (domain !== undefined) out.field(NODE.domain, domain);
  });
}

/** float32 zeros. */
function weight(name: string, dims: readonly number[]): Uint8Array {
  return message((out) => {
    for (const dim of dims) out.int(TENSOR.dims, dim);
    out.int(TENSOR.dataType, 1);
    out.field(TENSOR.name, name);
    out.field(TENSOR.raw, new Uint8Array(4 * dims.reduce((a, b) => a * b, 1)));
  });
}

/** A graph with one product of `x`, which every mode can do something with, and what `more` adds. */
function graph(more: (out: Bytes) => void): Uint8Array {
  return message((out) => {
    out.field(GRAPH.node, node({ opType: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }));
    out.field(GRAPH.initializer, weight('w', [16, 16]));
    out.field(GRAPH.input, info('x'));
    out.field(GRAPH.output, info('y'));
    more(out);
  });
}

/** Of the smallest nodes. */
const BYTES_A_NODE = 20;

type Add = (list: Bytes, index: number) => void;
type Kind = (size: number) => Uint8Array;

/** Fields of the graph, one after the other. */
const inGraph =
  (add: Add): Kind =>
  (size) =>
    model(graph((out) => out.raw(filled(size, add))));

/** Nodes, one after the other. */
const nodes = (parts: (index: number) => NodeParts): Kind =>
  inGraph((list, i) => list.field(GRAPH.node, node(parts(i))));

/** A chain of nodes from the graph's input to its output; each reads what `more` says besides. */
const chain =
  (opType: string, ...more: readonly string[]): Kind =>
  (size) => {
    let last = 'x';
    const list = filled(size, (out, i) => {
      const output = `v${nameOf(i)}`;
      out.field(GRAPH.node, node({ opType, inputs: [last, ...more], outputs: [output] }));
      last = output;
    });
    return model(
      message((out) => {
        out.raw(list);
        out.field(GRAPH.node, node({ opType: 'MatMul', inputs: [last, 'w'], outputs: ['y'] }));
        out.field(GRAPH.initializer, weight('w', [16, 16]));
        out.field(GRAPH.input, info('x'));
        out.field(GRAPH.output, info('y'));
      }),
    );
  };

/** A chain that begins with `first`, the last node first in the file. */
const reversed =
  (opType: string, first: string, ...more: readonly string[]): Kind =>
  (size) => {
    const names = Array.from({ length: Math.ceil(size / BYTES_A_NODE) }, (_, i) => `v${nameOf(i)}`);
    const list = message((out) => {
      for (let i = names.length - 1; i >= 0; i--) {
        const inputs = [i === 0 ? first : names[i - 1], ...more];
        out.field(GRAPH.node, node({ opType, inputs, outputs: [names[i]] }));
      }
    });
    return model(graph((out) => out.raw(list)));
  };

/** Fields of one node. */
const inNode =
  (opType: string, add: Add): Kind =>
  (size) => {
    const one = message((out) => {
      out.raw(filled(size, add));
      out.field(NODE.opType, opType);
    });
    return model(graph((out) => out.field(GRAPH.node, one)));
  };

/** Fields of one attribute of this type. */
const inAttribute =
  (type: number, write: (attribute: Bytes, size: number) => void): Kind =>
  (size) => {
    const attribute = message((out) => {
      out.field(ATTRIBUTE.name, 'a');
      write(out, size);
      out.int(ATTRIBUTE.type, type);
    });
    return model(graph((out) => out.field(GRAPH.node, node({ opType: 'A', attributes: [attribute] }))));
  };

/** Fields of one initializer. */
const inTensor =
  (write: (tensor: Bytes, size: number) => void): Kind =>
  (size) => {
    const tensor = message((out) => {
      out.field(TENSOR.name, 'v');
      write(out, size);
    });
    return model(graph((out) => out.field(GRAPH.initializer, tensor)));
  };

/** Fields of the model. */
const inModel =
  (number: number, body: (index: number) => Uint8Array): Kind =>
  (size) =>
    model(
      graph(nothing),
      filled(size, (list, i) => list.field(number, body(i))),
    );

const opset = (domain: string, version = 1): Uint8Array =>
  message((out) => {
    out.field(1, domain);
    out.int(2, version);
  });

/** Every kind of file; `size` is about how many bytes it shall have. */
export const HOSTILE = {
  'nodes in a chain': chain('Relu'),
  'products in a chain': chain('MatMul', 'w'),
  'products of one value': nodes((i) => ({
    opType: 'MatMul',
    inputs: ['x', 'w'],
    outputs: [`v${nameOf(i)}`],
  })),
  'nodes without inputs and outputs': nodes(() => ({ opType: 'A' })),
  'nodes in reverse order': reversed('Relu', 'x'),
  'sums of constants in reverse order': reversed('Add', 'w', 'w'),
  'Constant nodes': nodes((i) => ({
    opType: 'Constant',
    outputs: [`c${nameOf(i)}`],
    attributes: [intAttribute('value_int', i)],
  })),
  'inputs of one node': inNode('Sum', (list) => list.field(NODE.input, 'x')),
  'absent inputs of one node': inNode('Sum', (list) => list.field(NODE.input, '')),
  'outputs of one node': inNode('Split', (list, i) => list.field(NODE.output, `v${nameOf(i)}`)),
  'attributes of one node': inNode('A', (list, i) => list.field(NODE.attribute, intAttribute(nameOf(i), 1))),
  'integers of one attribute, packed': inAttribute(7, (a, size) =>
    a.field(ATTRIBUTE.ints, new Uint8Array(size)),
  ),
  'integers of one attribute': inAttribute(7, (a, size) =>
    a.raw(filled(size, (list) => list.int(ATTRIBUTE.ints, 1))),
  ),
  'wide integers of one attribute': inAttribute(7, (a, size) =>
    a.field(
      ATTRIBUTE.ints,
      filled(size, (list) => list.varint(Number.MAX_SAFE_INTEGER)),
    ),
  ),
  'floats of one attribute': inAttribute(6, (a, size) =>
    a.field(ATTRIBUTE.floats, new Uint8Array(size - (size % 4))),
  ),
  'strings of one attribute': inAttribute(8, (a, size) =>
    a.raw(filled(size, (list) => list.field(ATTRIBUTE.strings, ''))),
  ),
  'empty graphs in attributes': inAttribute(10, (a, size) =>
    a.raw(filled(size, (list) => list.field(ATTRIBUTE.graphs, ''))),
  ),
  'deep graphs': inGraph((list) => list.field(GRAPH.node, nestedGraphs(DEPTH))),
  initializers: inGraph((list, i) => list.field(GRAPH.initializer, weight(nameOf(i + 99), [1]))),
  'empty initializers': inGraph((list, i) => list.field(GRAPH.initializer, weight(nameOf(i + 99), [0]))),
  'sparse initializers': inGraph((list, i) => {
    const sparse = message((out) => {
      out.field(1, weight(nameOf(i + 99), [0]));
      out.field(2, weight('', [0]));
    });
    list.field(GRAPH.sparse, sparse);
  }),
  'dimensions of one tensor': inTensor((tensor, size) => {
    tensor.field(TENSOR.dims, new Uint8Array(size).fill(1));
    tensor.int(TENSOR.dataType, 1);
    tensor.field(TENSOR.raw, new Uint8Array(4));
  }),
  'entries of external data': inTensor((tensor, size) => {
    tensor.int(TENSOR.location, 1);
    tensor.raw(filled(size, (list) => list.field(TENSOR.externalData, '')));
  }),
  'external tensors': inGraph((list, i) => {
    const tensor = message((out) => {
      out.int(TENSOR.dims, 1);
      out.int(TENSOR.dataType, 2);
      out.field(TENSOR.name, nameOf(i + 99));
      out.field(TENSOR.externalData, entry('location', nameOf(i % 9999)));
      out.int(TENSOR.location, 1);
    });
    list.field(GRAPH.initializer, tensor);
  }),
  'unpacked elements of a tensor': inTensor((tensor, size) => {
    const elements = filled(size, (list) => list.int(TENSOR.int32Data, 1));
    tensor.int(TENSOR.dims, elements.length / 2);
    tensor.int(TENSOR.dataType, 3);
    tensor.raw(elements);
  }),
  'elements of a tensor between unknown fields': inTensor((tensor, size) => {
    const elements = filled(size, (list) => {
      list.field(TENSOR.int32Data, new Uint8Array(1));
      list.int(99, 3);
    });
    tensor.raw(elements);
    tensor.int(TENSOR.dataType, 3);
  }),
  'graph inputs': inGraph((list, i) => list.field(GRAPH.input, info(nameOf(i + 99)))),
  'graph outputs, all the same': inGraph((list) => list.field(GRAPH.output, info('y', undefined))),
  'types of values that are not there': inGraph((list, i) => list.field(GRAPH.valueInfo, info(nameOf(i)))),
  'dimensions of types': (size) => {
    const dims = filled(Math.min(size, 1_000_000), (shape) => shape.field(1, ''));
    const type = message((out) =>
      out.field(
        1,
        message((tensor) => tensor.field(2, dims)),
      ),
    );
    return inGraph((list, i) => list.field(GRAPH.input, info(nameOf(i + 99), type)))(size);
  },
  'deep types': inGraph((list, i) => list.field(GRAPH.input, info(nameOf(i + 99), DEEP_TYPE))),
  metadata: inModel(14, (i) => entry(nameOf(i), '')),
  'operator sets': inModel(8, (i) => opset(`d${nameOf(i)}`)),
  'the same operator set': inModel(8, () => opset('', OPSET)),
  'local functions': inModel(25, (i) => entryOf({ 1: nameOf(i), 10: 'd' })),
  // 2^n copies of the first body, if all calls were replaced.
  'local functions that double': (size) => {
    const count = Math.min(60, Math.max(8, Math.floor(size / 1000)));
    const functions = message((out) => {
      for (let i = 0; i < count; i++) out.field(25, doubling(i));
      out.field(8, opset('d'));
    });
    return model(
      graph((out) => out.field(GRAPH.node, call(count - 1, 'y', 'z'))),
      functions,
    );
  },
  'a name': (size) => nodes(() => ({ opType: 'A', outputs: ['n'.repeat(size)] }))(1),
  'long names': nodes((i) => ({ opType: 'A', outputs: [`${'é'.repeat(LONG_NAME)}${i}`] })),
  'a description': (size) =>
    model(
      graph(nothing),
      message((out) => out.field(6, 'd'.repeat(size))),
    ),
  'unknown fields': inGraph((list) => list.int(99, 0)),
  'unknown fields out of order': inGraph((list, i) => list.int(40 + (i % 2), 0)),
} as const satisfies Record<string, Kind>;

/** Name of a kind of file. */
export type HostileKind = keyof typeof HOSTILE;

/** Just inside what a reader must take: 100 messages in one another. */
const DEPTH = 32;
const LONG_NAME = 30_000;

const DEEP_TYPE = deepType(90);

function nothing(): void {
  // The graph alone.
}

function entry(key: string, value: string): Uint8Array {
  return message((out) => {
    out.field(1, key);
    out.field(2, value);
  });
}

/** A message of texts, by field number. */
function entryOf(texts: Readonly<Record<number, string>>): Uint8Array {
  return message((out) => {
    for (const [number, text] of Object.entries(texts)) out.field(Number(number), text);
  });
}

function intAttribute(name: string, value: number): Uint8Array {
  return message((out) => {
    out.field(ATTRIBUTE.name, name);
    out.int(ATTRIBUTE.i, value);
    out.int(ATTRIBUTE.type, 2);
  });
}

/** A call of the local function `f<index>`. */
function call(index: number, input: string, output: string): Uint8Array {
  return node({ opType: `f${index}`, inputs: [input], outputs: [output], domain: 'd' });
}

/** A local function that calls the one before it twice; the first one has two nodes. */
function doubling(index: number): Uint8Array {
  const part = (input: string, output: string): Uint8Array =>
    index === 0
      ? node({ opType: 'Relu', inputs: [input], outputs: [output] })
      : call(index - 1, input, output);
  return message((out) => {
    out.field(1, `f${index}`);
    out.field(4, 'a');
    out.field(5, 'c');
    out.field(7, part('a', 'b'));
    out.field(7, part('b', 'c'));
    out.field(9, opset('', OPSET));
    out.field(9, opset('d'));
    out.field(10, 'd');
  });
}

/** Node → attribute → graph → node → ..., three messages a level. */
function nestedGraphs(depth: number): Uint8Array {
  let inner = node({ opType: 'A' });
  for (let i = 0; i < depth; i++) {
    const body = message((out) => out.field(GRAPH.node, inner));
    const attribute = message((out) => {
      out.field(ATTRIBUTE.name, 'b');
      out.field(ATTRIBUTE.g, body);
      out.int(ATTRIBUTE.type, 5);
    });
    inner = node({ opType: 'A', attributes: [attribute] });
  }
  return inner;
}

/** Sequence of sequence of ... */
function deepType(depth: number): Uint8Array {
  let type: Uint8Array = FLOAT_TYPE;
  for (let i = 0; i < depth / 2; i++) {
    const sequence = message((out) => out.field(1, type));
    type = message((out) => out.field(4, sequence));
  }
  return type;
}
