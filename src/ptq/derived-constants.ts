/**
 * Constants that are computed from others. Results are kept in memory up to a budget; those beyond it are computed when
 * somebody (the writer) reads them, and then dropped, so that memory does not grow with the model.
 */
import { elementBits, type OnnxDType } from '../graph/element-type.ts';
import { bytesOf, memorySource, type TensorSource } from '../graph/tensor-source.ts';
import type { TensorData } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';

/** What a constant will be, before it is computed. */
export interface ConstantLayout {
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
}

type Named<T> = Readonly<Record<string, T>>;
/** Gives the elements of each part, and equal ones each time; parts that nobody declared are ignored. */
export type Compute = () => Promise<Named<TensorData>>;

/** Bytes of results that stay in memory: all of a model of 200 M weights in 4 bits. */
const BUDGET = 134_217_728;
/** Parts of up to this size stay once they are computed: a weight is not to be computed again for its few scales. */
const SMALL = 16_384;

interface Derivation {
  readonly layouts: Named<ConstantLayout>;
  readonly compute: Compute;
  readonly small: Map<string, Tensor>;
}

export class DerivedConstants {
  #budget: number;
  /** What was computed last: a weight's parts are mostly read one after the other. */
  #last: { readonly derivation: Derivation; readonly parts: Promise<Named<Tensor>> } | undefined;

  constructor(budget: number = BUDGET) {
    this.#budget = budget;
  }

  /** The parts as constants; computed now if the budget allows, so that errors come now, or if they must be. */
  async add(
    layouts: Named<ConstantLayout>,
    compute: Compute,
    { now = false }: { readonly now?: boolean } = {},
  ): Promise<Named<TensorSource>> {
    const derivation = { layouts, compute, small: new Map<string, Tensor>() };
    const size = byteSize(layouts);
    if (size > this.#budget && !now) {
      return mapValues(layouts, (layout, name) => lazySource(layout, () => this.#part(derivation, name)));
    }
    this.#budget -= size;
    return mapValues(await run(derivation), (tensor) => memorySource(tensor));
  }

  async #part(derivation: Derivation, name: string): Promise<Tensor> {
    return derivation.small.get(name) ?? (await this.#parts(derivation))[name];
  }

  #parts(derivation: Derivation): Promise<Named<Tensor>> {
    if (this.#last?.derivation === derivation) return this.#last.parts;
    const parts = run(derivation);
    const last = { derivation, parts };
    this.#last = last;
    parts.catch(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return parts;
  }
}

/** Bytes of constants of these layouts. */
export function byteSize(layouts: Named<ConstantLayout>): number {
  return Object.values(layouts).reduce((sum, layout) => sum + bytesOfLayout(layout), 0);
}

function bytesOfLayout({ dtype, shape }: ConstantLayout): number {
  return Math.ceil((elementCount(shape) * elementBits(dtype)) / 8);
}

async function run({ layouts, compute, small }: Derivation): Promise<Named<Tensor>> {
  const data = await compute();
  const tensors = mapValues(layouts, ({ dtype, shape }, name) => new Tensor(dtype, shape, data[name]));
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor.data.byteLength <= SMALL) small.set(name, tensor);
  }
  return tensors;
}

function lazySource({ dtype, shape }: ConstantLayout, load: () => Promise<Tensor>): TensorSource {
  return {
    elementType: dtype,
    shape,
    byteLength: bytesOfLayout({ dtype, shape }),
    where: 'computed',
    load,
    async read(offset, length) {
      return bytesOf((await load()).data).subarray(offset, offset + length);
    },
  };
}

function mapValues<A, B>(record: Named<A>, map: (value: A, name: string) => B): Named<B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));
}
