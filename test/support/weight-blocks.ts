/** Reads what quantizeWeights stored, by the operators' documentation and not by our code. */
import type { NestedNumbers, Tensor } from 'zeropoint';
import type { Model, Node, Value } from 'zeropoint/onnx';

/** The constant that a value is. */
export async function constant(value: Value | undefined): Promise<Tensor> {
  if (value?.constant === undefined) throw new Error(`${value?.name}: expected a constant`);
  return value.constant.load();
}

/** Code `i` of `bits` bits in packed bytes, ascending bit order. */
export function code(bytes: ArrayLike<number>, i: number, bits: number): number {
  return (bytes[Math.floor((i * bits) / 8)] >> ((i * bits) % 8)) & (2 ** bits - 1);
}

const NF4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
const FP4 = [0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4];

type Decoder = (node: Node) => Promise<Float32Array>;

/** The weight [K, N] of each operator, as float32. */
const DECODERS: Readonly<Record<string, Decoder>> = {
  async MatMulNBits(node) {
    const [k, n, bits, size] = ints(node, 'K', 'N', 'bits', 'block_size');
    const [codes, scales] = [await constant(node.inputs[1]), await constant(node.inputs[2])];
    const zeroPoints = node.inputs[3] && (await constant(node.inputs[3]));
    const blocks = Math.ceil(k / size);
    const zeroPointBytes = Math.ceil((blocks * bits) / 8);
    return fill(k, n, (row, col) => {
      const block = Math.floor(row / size);
      const first = (col * blocks + block) * ((size * bits) / 8);
      const bytes = (codes.data as Uint8Array).subarray(first);
      const zeroPoint =
        zeroPoints === undefined
          ? 2 ** (bits - 1)
          : code((zeroPoints.data as Uint8Array).subarray(col * zeroPointBytes), block, bits);
      return (code(bytes, row % size, bits) - zeroPoint) * Number(scales.data[col * blocks + block]);
    });
  },
  async MatMulBnb4(node) {
    const [k, n, size, type] = ints(node, 'K', 'N', 'block_size', 'quant_type');
    const [codes, absmax] = [await constant(node.inputs[1]), await constant(node.inputs[2])];
    const values = type === 1 ? NF4 : [...FP4, ...FP4.map((value) => -value)];
    return fill(k, n, (row, col) => {
      const at = col * k + row;
      const byte = Number(codes.data[at >> 1]);
      return values[at % 2 === 0 ? byte >> 4 : byte & 15] * Number(absmax.data[Math.floor(at / size)]);
    });
  },
  async DequantizeLinear(node) {
    const [codes, scales] = [await constant(node.inputs[0]), await constant(node.inputs[1])];
    const zeroPoints = node.inputs[2] && numbers(await constant(node.inputs[2]));
    const [k, n] = codes.shape.slice(-2);
    const [size] = ints(node, 'block_size');
    const values = numbers(codes);
    return fill(k, n, (row, col) => {
      const grid = Math.floor(row / size) * n + col;
      return (values[row * n + col] - (zeroPoints?.[grid] ?? 0)) * Number(scales.data[grid]);
    });
  },
};

/** The float weights [K, N] of all quantized products of the main graph, in order. */
export async function decodedWeights(model: Model): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  for (const node of model.graph.nodes) {
    if (Object.hasOwn(DECODERS, node.opType)) found.push(await DECODERS[node.opType](node));
  }
  return found;
}

/** All elements, unpacked. */
function numbers(tensor: Tensor): number[] {
  const flatten = (nested: NestedNumbers): number[] =>
    Array.isArray(nested) ? nested.flatMap(flatten) : [Number(nested)];
  return flatten(tensor.toArray());
}

function ints(node: Node, ...names: string[]): number[] {
  return names.map((name) => node.int(name, 0));
}

function fill(k: number, n: number, value: (row: number, col: number) => number): Float32Array {
  return Float32Array.from({ length: k * n }, (_, i) => value(Math.floor(i / n), i % n));
}
