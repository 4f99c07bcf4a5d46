/**
 * Cast and CastLike of a constant. Floats round to nearest even (to float16 and bfloat16 by way of float32, as onnxruntime
 * does), integers lose their high bits, and whatever is not 0 is true. Integers from floats are only made where all values
 * are in their range: what is outside has no defined result.
 */
import { elementBits, isOurs, type ElementType } from '../graph/element-type.ts';
import type { Node } from '../graph/node.ts';
import { memorySource, type TensorSource } from '../graph/tensor-source.ts';
import { elementTypeOf } from '../formats/onnx/data-type.ts';
import { allocate, dtypeInfo, type DType } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { elementValues } from '../tensor/values.ts';
import { lazily, storer } from './constant-elementwise.ts';

/** The element type that a Cast or CastLike gives; undefined for other nodes, and where the type is not known. */
export function castTarget(node: Node): ElementType | undefined {
  if (node.is('CastLike')) return node.inputs[1]?.elementType;
  // Before opset 6 the type was written as text.
  const to = node.is('Cast') ? node.attributes.get('to') : undefined;
  return to?.kind === 'int' ? elementTypeOf(Number(to.value)) : undefined;
}

/** `source` as `to`; undefined for types below 8 bits or foreign to us, and where results are not defined. */
export function castSource(source: TensorSource, to: ElementType): TensorSource | undefined {
  const { elementType: from, shape } = source;
  if (![from, to].every((type) => isOurs(type) && elementBits(type) >= 8)) return undefined;
  // Checked just above.
  const [before, dtype] = [from as DType, to as DType];
  if (dtypeInfo(before).kind !== 'float' || dtypeInfo(dtype).kind !== 'int') {
    return lazily(dtype, shape, [source], ([tensor]) => cast(tensor, dtype));
  }
  const { tensor } = source;
  return tensor !== undefined && allInRange(tensor, dtype) ? memorySource(cast(tensor, dtype)) : undefined;
}

function allInRange(tensor: Tensor, dtype: DType): boolean {
  const { bits } = dtypeInfo(dtype);
  const isUnsigned = dtype.startsWith('u');
  const [least, past] = isUnsigned ? [0, 2 ** bits] : [-(2 ** (bits - 1)), 2 ** (bits - 1)];
  // Values of floats are numbers.
  return Array.from(elementValues(tensor) as ArrayLike<number>).every((value) => {
    const whole = Math.trunc(value);
    return whole >= least && whole < past;
  });
}

function cast(tensor: Tensor, dtype: DType): Tensor {
  const length = elementCount(tensor.shape);
  const [from, to] = [dtypeInfo(tensor.dtype).kind, dtypeInfo(dtype).kind];
  const values = elementValues(tensor);
  const data = allocate(dtype, length);
  const store = storer(dtype, data);
  for (let i = 0; i < length; i++) {
    const value = values[i];
    if (to === 'bool') store(i, Number(value) !== 0);
    else if (to === 'float') store(i, typeof value === 'bigint' ? nearFloat(value, dtype) : value);
    else store(i, from === 'float' ? Math.trunc(Number(value)) : value);
  }
  return new Tensor(dtype, tensor.shape, data);
}

const EXACT = 2n ** 53n;
/** Bits that a double has no room for in an integer of 64 bits. */
const EXCESS = 11n;

/**
 * A double that rounds as `value` does, to float32 and less, and `value` rounded to float64. A double cannot hold all bits;
 * its last one stands for those that are lost, so that a tie stays a tie and what is near one is none.
 */
function nearFloat(value: bigint, dtype: DType): number {
  if (dtype === 'float64' || (value < EXACT && value > -EXACT)) return Number(value);
  const kept = value >> EXCESS;
  const isExact = kept << EXCESS === value;
  return Number(isExact ? kept : kept | 1n) * 2 ** Number(EXCESS);
}
