import { FormatError } from '../errors.ts';
import type { TensorLike } from '../quant/types.ts';
import { floatInput } from '../tensor/cast.ts';
import { dtypeInfo, type DType } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { MarkerObserver } from './marker-observer.ts';
import type { CommonOptions, ObserveContext } from './observer.ts';
import { stateError } from './state.ts';

/** Options of {@link RecordingObserver}. */
export interface RecordingObserverOptions extends CommonOptions {
  /** Default `quint8`. */
  readonly dtype?: DType;
}

/**
 * Keeps a copy of every tensor, for debugging; memory grows with the data. torch `RecordingObserver`.
 * NaN and infinities are recorded as they are. Merging appends the other's tensors. `calculateQParams` throws TypeError.
 */
export class RecordingObserver extends MarkerObserver {
  static override readonly type: string = 'RecordingObserver';
  static override readonly defaults: object = { dtype: 'quint8', name: undefined };
  readonly dtype: DType;
  #tensors: Tensor<'float32'>[] = [];

  constructor(options: RecordingObserverOptions = {}) {
    super(options);
    this.dtype = options.dtype ?? 'quint8';
    dtypeInfo(this.dtype);
  }

  /** Copies of what was observed, oldest first. torch `get_tensor_value`. */
  get tensorValues(): readonly Tensor<'float32'>[] {
    return this.#tensors;
  }

  override observe<T extends TensorLike>(x: T, context?: ObserveContext): T {
    const { data, shape } = floatInput(x, this.where(context));
    this.#tensors.push(new Tensor('float32', shape, data.slice()));
    return x;
  }

  override reset(): void {
    this.#tensors = [];
  }

  protected override absorb(other: this): void {
    this.#tensors.push(...other.tensorValues);
  }

  protected override saveState(): Record<string, unknown> {
    // JSON has no NaN and no infinities: those are written as strings.
    const plain = (value: number): number | string => (Number.isFinite(value) ? value : String(value));
    return {
      tensors: this.#tensors.map(({ shape, data }) => ({
        shape: [...shape],
        data: Array.from(data as Float32Array, plain),
      })),
    };
  }

  protected override loadState(state: Readonly<Record<string, unknown>>): void {
    const saved = state.tensors;
    if (!Array.isArray(saved)) throw stateError('tensors', 'an array', saved);
    this.#tensors = saved.map((item: unknown, i) => readTensor(item, `tensors[${i}]`));
  }

  protected override summary(): string {
    return `tensors: ${this.#tensors.length}`;
  }
}

function readTensor(item: unknown, field: string): Tensor<'float32'> {
  const { shape, data } = (item ?? {}) as { shape?: unknown; data?: unknown };
  if (!Array.isArray(shape) || !Array.isArray(data)) throw stateError(field, 'a shape and data', item);
  try {
    return new Tensor('float32', shape as number[], Float32Array.from(data as (number | string)[], Number));
  } catch (cause) {
    throw new FormatError(`observer state: expected a tensor in ${field}, got ${String(cause)}`, {
      code: 'STATE_INVALID',
      cause,
    });
  }
}
