/**
 * Arithmetic between constants, element by element, with the results that IEEE 754 and two's complement define:
 *
 *   float32, float16, bfloat16: round(a ∘ b) once, for ∘ in + − × ÷ √. A double holds more than twice their bits and two
 *   more, so that rounding its result is rounding the exact one (Figueroa 1995). int32, int64: modulo 2^bits.
 *
 * Left: what rounds as a library likes (Exp, Pow but for x¹ and x²), and what has no defined result (÷ 0 between integers).
 */
import type { Node } from '../graph/node.ts';
import { derivedSource, memorySource, type TensorSource } from '../graph/tensor-source.ts';
import { allocate, dtypeInfo, type DType, type TensorData } from '../tensor/dtype.ts';
import { bfloat16Bits, float16Bits } from '../tensor/float16.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { elementValues } from '../tensor/values.ts';
import { present } from './access.ts';
import { broadcastShape, walkBroadcast } from './broadcast.ts';

/** What an operator does to one element of each operand; undefined: it has no defined result there. */
interface Elementwise {
  readonly float?: (a: number, b: number) => number | boolean | undefined;
  readonly int?: (a: bigint, b: bigint) => bigint | boolean | undefined;
  readonly bool?: (a: boolean, b: boolean) => boolean;
  /** Whether it compares. */
  readonly gives?: 'bool';
  /** Whether it may be undefined: then only constants in memory are looked at, so that it is known before. */
  readonly partial?: true;
  /** Takes any number of operands, two at a time. */
  readonly variadic?: true;
  /** Operands; default 2. */
  readonly operands?: number;
}

const compares = (of: (a: number | bigint, b: number | bigint) => boolean): Elementwise => ({
  float: of,
  int: of,
  gives: 'bool',
});

/** Runtimes differ in which NaN and which zero they give. */
const isClear = (a: number, b: number): boolean => (a === b ? Object.is(a, b) : ![a, b].includes(NaN));

const ELEMENTWISE: Readonly<Record<string, Elementwise>> = {
  Add: { float: (a, b) => a + b, int: (a, b) => a + b },
  Sub: { float: (a, b) => a - b, int: (a, b) => a - b },
  Mul: { float: (a, b) => a * b, int: (a, b) => a * b },
  Div: { float: (a, b) => a / b },
  Neg: { float: (a) => -a, int: (a) => -a, operands: 1 },
  Abs: { float: Math.abs, int: (a) => (a < 0n ? -a : a), operands: 1 },
  Sqrt: { float: Math.sqrt, operands: 1 },
  Reciprocal: { float: (a) => 1 / a, operands: 1 },
  Floor: { float: Math.floor, operands: 1 },
  Ceil: { float: Math.ceil, operands: 1 },
  Pow: { float: (a, b) => (b === 2 ? a * a : b === 1 ? a : undefined), partial: true },
  Min: {
    float: (a, b) => (isClear(a, b) ? Math.min(a, b) : undefined),
    int: (a, b) => (a < b ? a : b),
    partial: true,
    variadic: true,
  },
  Max: {
    float: (a, b) => (isClear(a, b) ? Math.max(a, b) : undefined),
    int: (a, b) => (a > b ? a : b),
    partial: true,
    variadic: true,
  },
  Equal: { ...compares((a, b) => a === b), bool: (a, b) => a === b },
  Less: compares((a, b) => a < b),
  LessOrEqual: compares((a, b) => a <= b),
  Greater: compares((a, b) => a > b),
  GreaterOrEqual: compares((a, b) => a >= b),
  And: { bool: (a, b) => a && b, gives: 'bool' },
  Or: { bool: (a, b) => a || b, gives: 'bool' },
  Xor: { bool: (a, b) => a !== b, gives: 'bool' },
  Not: { bool: (a) => !a, gives: 'bool', operands: 1 },
};

/** Operators that {@link elementwise} knows. */
export const ELEMENTWISE_OPS: readonly string[] = Object.keys(ELEMENTWISE);

/** Division of integers truncates; kept apart from that of floats, whose result is always defined. */
const INTEGER_DIVISION: Elementwise = { int: (a, b) => (b === 0n ? undefined : a / b), partial: true };

type Column = 'float' | 'int' | 'bool';

/** Types that onnxruntime computes in as well; the results of others are nobody's definition. */
const COLUMNS: Readonly<Partial<Record<string, Column>>> = {
  float32: 'float',
  float64: 'float',
  float16: 'float',
  bfloat16: 'float',
  int32: 'int',
  int64: 'int',
  bool: 'bool',
};

/**
 * What an elementwise operator makes of constants, computed when it is read; undefined for other operators and types, for
 * shapes that do not fit, and where a result is not defined.
 */
export function elementwise(node: Node, sources: readonly TensorSource[]): TensorSource | undefined {
  const [first] = sources;
  const rule = first && ruleOf(node, first);
  // Before opset 7 attributes said how operands broadcast.
  if (rule === undefined || node.attributes.size > 0 || !fits(rule, sources)) return undefined;
  if (rule.partial) return computedNow(rule, sources);
  const shape = broadcastShape(sources.map((source) => source.shape));
  const dtype = rule.gives ?? (first.elementType as DType);
  return (
    shape &&
    lazily(dtype, shape, sources, (tensors) =>
      present(compute(rule, tensors, shape), `${node.label}: expected a result for each element, got none`),
    )
  );
}

function ruleOf(node: Node, { elementType }: TensorSource): Elementwise | undefined {
  const column = COLUMNS[elementType];
  if (column === undefined || !Object.hasOwn(ELEMENTWISE, node.opType)) return undefined;
  const rule = node.opType === 'Div' && column === 'int' ? INTEGER_DIVISION : ELEMENTWISE[node.opType];
  return rule[column] === undefined ? undefined : rule;
}

function fits({ operands = 2, variadic }: Elementwise, sources: readonly TensorSource[]): boolean {
  const isSame = sources.every(({ elementType }) => elementType === sources[0].elementType);
  return isSame && (variadic === true || sources.length === operands);
}

/** A constant that `compute` makes of others when it is read. */
export function lazily(
  elementType: DType,
  shape: readonly number[],
  sources: readonly TensorSource[],
  compute: (tensors: readonly Tensor[]) => Tensor,
): TensorSource {
  const byteLength = (elementCount(shape) * dtypeInfo(elementType).bits) / 8;
  // What callers name are types of ONNX.
  const from = {
    elementType: elementType as TensorSource['elementType'],
    where: sources[0]?.where ?? 'memory',
  };
  return derivedSource(from, { shape, byteLength }, async () => {
    const tensors: Tensor[] = [];
    for (const source of sources) tensors.push(await source.load());
    return compute(tensors);
  });
}

/** The same for what may have no result: of constants in memory, so that it is known at once. */
function computedNow(rule: Elementwise, sources: readonly TensorSource[]): TensorSource | undefined {
  const tensors = sources.map(({ tensor }) => tensor).filter((tensor) => tensor !== undefined);
  if (tensors.length < sources.length) return undefined;
  let [result]: (Tensor | undefined)[] = tensors;
  for (const next of tensors.slice(1)) {
    const shape: readonly number[] | undefined = result && broadcastShape([result.shape, next.shape]);
    result = result && shape && compute(rule, [result, next], shape);
  }
  return result && memorySource(result);
}

function compute(
  rule: Elementwise,
  tensors: readonly Tensor[],
  shape: readonly number[],
): Tensor | undefined {
  const [{ dtype: operand }] = tensors;
  const dtype = rule.gives ?? operand;
  // A rule is only taken for a type that it has a function for; operands come as that function takes them.
  const step = rule[COLUMNS[operand] as Column] as (a: unknown, b: unknown) => Element | undefined;
  const operands = tensors.map((tensor) => operandsOf(tensor));
  const result = allocate(dtype, elementCount(shape));
  const store = storer(dtype, result);
  let isDefined = true;
  walkBroadcast(
    tensors.map((tensor) => tensor.shape),
    shape,
    (to, at) => {
      const value = step(operands[0](at[0]), operands[1]?.(at[1]));
      if (value === undefined) isDefined = false;
      else store(to, value);
    },
  );
  return isDefined ? new Tensor(dtype, shape, result) : undefined;
}

type Element = number | bigint | boolean;

function operandsOf(tensor: Tensor): (index: number) => Element {
  const values = elementValues(tensor);
  const column = COLUMNS[tensor.dtype];
  if (column === 'int') return (index) => BigInt(values[index]);
  return column === 'bool' ? (index) => values[index] !== 0 : (index) => values[index];
}

/** Writes elements of a dtype: floats rounded to nearest even, integers modulo 2^bits. */
export function storer(dtype: DType, data: TensorData): (to: number, value: Element) => void {
  if (dtype === 'float16') return (to, value) => (data[to] = float16Bits(Number(value)));
  if (dtype === 'bfloat16') return (to, value) => (data[to] = bfloat16Bits(Number(value)));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return (to, value) => (data[to] = BigInt(value));
  }
  const { bits, kind } = dtypeInfo(dtype);
  if (kind !== 'int') return (to, value) => (data[to] = Number(value));
  return (to, value) => (data[to] = Number(BigInt.asIntN(bits, BigInt(value))));
}
