/** Which observer a layer's activations get, and which its weights. */
import { sameFactory, toFactory, type FactoryJSON } from '../observers/factory.ts';
import type { Observer } from '../observers/observer.ts';
import { sourceText } from '../observers/source-text.ts';

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** What makes an observer (or a fake-quantize) each time it is called: `X.withArgs({...})`. */
export interface ObserverFactory {
  (): Observer;
  /** Name of the class. */
  readonly type: string;
  /** Options that differ from the defaults. */
  readonly args: object;
  toJSON(): FactoryJSON;
  toString(): string;
}

/** A class with no options that it needs: `MinMaxObserver` stands for `MinMaxObserver.withArgs({})`. */
export type ObserverClass = new () => Observer;

/** The two fields of a {@link QConfig}. */
export interface QConfigFields {
  readonly activation: ObserverFactory | ObserverClass;
  readonly weight: ObserverFactory | ObserverClass;
}

/** A saved {@link QConfig}. */
export interface QConfigJSON {
  readonly activation: FactoryJSON;
  readonly weight: FactoryJSON;
}

/**
 * How a layer is quantized: a factory for its activations' observers and one for its weights'. torch `QConfig`.
 * Factories, not observers, because every tensor needs an observer of its own.
 *
 * @throws TypeError for an observer that is already made, or anything else that makes none
 * @example
 * new QConfig({
 *   activation: MovingAverageMinMaxObserver.withArgs({ qscheme: 'per_tensor_affine' }),
 *   weight: PerChannelMinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_channel_symmetric' }),
 * })
 */
export class QConfig {
  readonly activation: ObserverFactory;
  readonly weight: ObserverFactory;

  constructor(fields: QConfigFields) {
    if (typeof fields !== 'object' || fields === null)
      throw new TypeError(`QConfig: expected { activation, weight }, got ${String(fields)}`);
    const { activation, weight } = fields;
    this.activation = checkedFactory(activation, 'activation');
    this.weight = checkedFactory(weight, 'weight');
  }

  /** The two factories as plain data; `qconfigFromJSON` reads it. */
  toJSON(): QConfigJSON {
    return { activation: this.activation.toJSON(), weight: this.weight.toJSON() };
  }

  /** TypeScript that makes an equal one. */
  toString(): string {
    const { activation, weight } = this;
    return `new QConfig(${sourceText({ activation, weight })})`;
  }

  [INSPECT](): string {
    return this.toString();
  }
}

function checkedFactory(value: unknown, field: string): ObserverFactory {
  const factory = toFactory(value);
  if (factory === undefined) {
    throw new TypeError(
      `QConfig: expected a class or a factory as ${field}, got ${describe(value)}; ` +
        'write X.withArgs({...}) instead of new X({...})',
    );
  }
  // Every factory and class of this package makes observers.
  return factory as ObserverFactory;
}

function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return `an instance of ${'type' in value ? String(value.type) : value.constructor?.name}`;
}

/** True if two configurations make equal observers; undefined (not quantized) equals only itself. torch `qconfig_equals`. */
export function qconfigEquals(a: QConfig | undefined, b: QConfig | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return sameFactory(a.activation, b.activation) && sameFactory(a.weight, b.weight);
}
