/** `options.out`: results in arrays that the caller owns. */
import { dtypeInfo, storageLength, type DType, type TensorDataOf } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';

/** An array for results, or a tensor whose data is that array. */
export type Out<D extends DType> = TensorDataOf<D> | Tensor<D>;

/**
 * The array to write `count` elements of `dtype` to: `out` if given, else a new one.
 *
 * @throws TypeError if `out` has another array type; RangeError if its length is not that of `count` elements.
 */
export function outArray<D extends DType>(
  out: Out<D> | undefined,
  dtype: D,
  count: number,
  where: string,
): TensorDataOf<D> {
  const { storage } = dtypeInfo(dtype);
  const length = storageLength(dtype, count);
  // The dtype table pairs each dtype with its array type, which TensorDataOf repeats for the compiler.
  if (out === undefined) return new storage(length) as TensorDataOf<D>;
  const array = (out instanceof Tensor ? out.data : out) as TensorDataOf<D>;
  if (!(array instanceof storage)) {
    throw new TypeError(
      `${where}: expected out as ${storage.name} for ${dtype}, got ${array?.constructor?.name}`,
    );
  }
  if (array.length !== length) {
    throw new RangeError(`${where}: expected out of length ${length}, got ${array.length}`);
  }
  return array;
}
