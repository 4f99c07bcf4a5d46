/** What every observer is: something that looks at tensors, changes none, and can say what it saw. */
import { CalibrationError } from '../errors.ts';
import { qschemeInfo } from '../quant/qscheme.ts';
import type { QParams, QScheme, TensorLike } from '../quant/types.ts';
import type { DType } from '../tensor/dtype.ts';
import { argsJSON, makeFactory, ownArgs, sameFactory, type Factory, type FactoryClass } from './factory.ts';
import { callText } from './source-text.ts';
import { checkState, STATE_VERSION, stateError, type ObserverState } from './state.ts';

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** Options that every observer takes. */
export interface CommonOptions {
  /** Name of the tensor, for messages. */
  readonly name?: string;
}

/** What `observe` can be told about a tensor. */
export interface ObserveContext {
  /** Name of the tensor, for messages; stands in for the option `name`. */
  readonly name?: string;
}

/**
 * Base of all observers. `new X(options)`, then `observe(x)` for each batch, then `calculateQParams()`.
 *
 * Common to all, and different from PyTorch (DESIGN.md, "Numerics"): an observer that saw nothing throws instead of
 * giving scale 1; NaN is an error that names the tensor; infinities are skipped and counted; empty tensors are ignored.
 */
export abstract class Observer {
  /** Name it is saved and printed under. */
  static readonly type: string = 'Observer';
  static readonly defaults: object = {};

  /**
   * A factory for QConfig with these options fixed, as torch's `with_args`.
   * @example MinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' })
   */
  static withArgs<T, A extends object>(
    this: FactoryClass<T, A>,
    args: Partial<NoInfer<A>> = {},
  ): Factory<T, A> {
    return makeFactory(this, args);
  }

  /** Dtype of the codes that the tensor is to get; a float dtype means: stays in that. */
  abstract readonly dtype: DType;
  abstract readonly qscheme: QScheme;
  /** True if the range is to be found anew for each input when the model runs. */
  readonly isDynamic: boolean = false;
  /** The options that differ from the defaults. */
  readonly args: Readonly<Record<string, unknown>>;

  /** Throws TypeError for an unknown option. */
  constructor(options: object) {
    if (typeof options !== 'object' || options === null)
      throw new TypeError(`${this.type}: expected an object of options, got ${String(options)}`);
    this.args = Object.freeze(ownArgs<Record<string, unknown>>(this.#class, { ...options }));
  }

  get #class(): FactoryClass<Observer, object> {
    // Every concrete class has one constructor argument and its own `type` and `defaults`.
    return this.constructor as FactoryClass<Observer, object>;
  }

  /** Name of the class. */
  get type(): string {
    return this.#class.type;
  }

  /** True if there is a scale and zero point for each channel or block. */
  get isPerChannel(): boolean {
    return qschemeInfo(this.qscheme).perChannel;
  }

  /** Takes `x` into account and returns it, untouched. */
  abstract observe<T extends TensorLike>(x: T, context?: ObserveContext): T;

  /** Scale and zero point for what was seen. */
  abstract calculateQParams(): QParams;

  /** Forgets everything seen. */
  abstract reset(): void;

  /** What was seen, as plain data. */
  protected abstract saveState(): Record<string, unknown>;

  /** The inverse of {@link saveState}; throws FormatError STATE_INVALID. */
  protected abstract loadState(state: Readonly<Record<string, unknown>>): void;

  /** Takes over what an equal observer saw. */
  protected abstract absorb(other: this): void;

  /** What to print after the constructor call. */
  protected abstract summary(): string;

  /**
   * Makes this observer one that has seen what both have seen, and returns it; `other` stays as it is.
   *
   * @throws CalibrationError CALIBRATION_MERGE if class or options differ, or if such an observer cannot be merged
   */
  merge(other: this): this {
    if (!(other instanceof Observer) || !sameFactory(this.#factory(), other.#factory())) {
      throw mergeError(this, `an equal observer, got ${String(other)}`);
    }
    this.absorb(other);
    return this;
  }

  /** The same class and options, without the name of the tensor. */
  #factory(): Factory<Observer> {
    const { name: _, ...args } = this.args;
    return makeFactory(this.#class, args);
  }

  /** Everything, as plain data; `observerFromJSON` reads it. */
  toJSON(): ObserverState {
    return { version: STATE_VERSION, type: this.type, args: argsJSON(this.args), state: this.saveState() };
  }

  /** Takes over a saved state of the same class, replacing what was seen. Throws FormatError STATE_INVALID. */
  restore(saved: ObserverState): this {
    const { type, state } = checkState(saved);
    if (type !== this.type) throw stateError('type', this.type, type);
    this.loadState(state);
    return this;
  }

  /** `new MinMaxObserver({ dtype: 'qint8' }) // minVal: -2.1, maxVal: 1.5` */
  toString(): string {
    const summary = this.summary();
    return callText(`new ${this.type}`, this.args) + (summary === '' ? '' : ` // ${summary}`);
  }

  [INSPECT](): string {
    return this.toString();
  }

  /** `MinMaxObserver: tensor 'x'`, for messages. */
  protected where(context?: ObserveContext): string {
    const name = context?.name ?? this.args.name;
    return name === undefined ? this.type : `${this.type}: tensor '${String(name)}'`;
  }
}

/** The refusal of a merge: `expected` goes on the sentence "expected ...". */
export function mergeError(observer: Observer, expected: string): CalibrationError {
  return new CalibrationError(`${observer.type}.merge: expected ${expected}`, {
    code: 'CALIBRATION_MERGE',
    details: { observer: observer.type },
  });
}

/** What an observer without data throws when asked for a range; `where` says which tensor or channel. */
export function emptyError(where: string): CalibrationError {
  return new CalibrationError(`${where}: expected observed values, got none`, {
    code: 'CALIBRATION_EMPTY',
    hint: 'Call observe(x) with calibration data before calculateQParams().',
  });
}
