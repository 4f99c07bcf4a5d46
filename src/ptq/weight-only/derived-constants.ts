/**
 * Constants that are computed from others. Results are kept in memory up to a budget; beyond it they are dropped and
 * computed again when somebody (the writer) reads them, so that memory does not grow with the model.
 */
import { elementBits, type ElementType } from '../../graph/element-type.ts';
import { bytesOf, memorySource, type TensorSource } from '../../graph/tensor-source.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Tensors that one computation gives, by name. */
export type Parts = Readonly<Record<string, Tensor>>;
/** Gives equal parts each time. */
export type Compute = () => Promise<Parts>;

/** Bytes of results that stay in memory: all of a model of 200 M weights in 4 bits. */
const BUDGET = 134_217_728;
/** Parts of up to this size always stay: a weight is not to be computed again for its few scales. */
const SMALL = 16_384;

export class DerivedConstants {
  #budget: number;
  /** What was computed last: a weight's parts are mostly read one after the other. */
  #last: { readonly compute: Compute; readonly parts: Promise<Parts> } | undefined;

  constructor(budget: number = BUDGET) {
    this.#budget = budget;
  }

  /** Runs `compute` once, so that errors come now, and gives its parts as constants. */
  async add(compute: Compute): Promise<Readonly<Record<string, TensorSource>>> {
    const parts = await compute();
    const size = Object.values(parts).reduce((sum, { data }) => sum + data.byteLength, 0);
    const keep = size <= this.#budget;
    if (keep) this.#budget -= size;
    return Object.fromEntries(
      Object.entries(parts).map(([name, tensor]) => [
        name,
        keep || tensor.data.byteLength <= SMALL
          ? memorySource(tensor)
          : lazySource(tensor, async () => (await this.#again(compute))[name]),
      ]),
    );
  }

  #again(compute: Compute): Promise<Parts> {
    if (this.#last?.compute === compute) return this.#last.parts;
    const parts = compute();
    const last = { compute, parts };
    this.#last = last;
    parts.catch(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return parts;
  }
}

/** A constant like `tensor`, which `load` gives again. */
function lazySource(tensor: Tensor, load: () => Promise<Tensor>): TensorSource {
  const { shape } = tensor;
  // Parts come from this folder and have types that ONNX has.
  const elementType = tensor.dtype as ElementType;
  return {
    elementType,
    shape,
    byteLength: Math.ceil((elementCount(shape) * elementBits(elementType)) / 8),
    where: 'computed',
    load,
    async read(offset, length) {
      return bytesOf((await load()).data).subarray(offset, offset + length);
    },
  };
}
