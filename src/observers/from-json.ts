/** From saved observers and factories back to live ones. Every class that can be saved has its row here. */
import { QuantError } from '../errors.ts';
import { EntropyObserver } from './entropy-observer.ts';
import { makeFactory, type Factory, type FactoryClass, type FactoryJSON } from './factory.ts';
import { FakeQuantize } from './fake-quantize.ts';
import { FixedQParamsFakeQuantize } from './fixed-qparams-fake-quantize.ts';
import { FixedQParamsObserver } from './fixed-qparams-observer.ts';
import { FusedMovingAvgObsFakeQuantize } from './fused-moving-avg-obs-fake-quantize.ts';
import { HistogramObserver } from './histogram-observer.ts';
import { LearnableFakeQuantize } from './learnable-fake-quantize.ts';
import { MinMaxObserver } from './min-max-observer.ts';
import { MovingAverageMinMaxObserver } from './moving-average-min-max-observer.ts';
import { MovingAveragePerChannelMinMaxObserver } from './moving-average-per-channel-min-max-observer.ts';
import { MSEObserver } from './mse-observer.ts';
import { NoopObserver } from './noop-observer.ts';
import type { Observer } from './observer.ts';
import { PerChannelMinMaxObserver } from './per-channel-min-max-observer.ts';
import { PercentileObserver } from './percentile-observer.ts';
import { PlaceholderObserver } from './placeholder-observer.ts';
import { RecordingObserver } from './recording-observer.ts';
import { ReuseInputObserver } from './reuse-input-observer.ts';
import { checkState, recordField, stateError } from './state.ts';

// The options of each class are checked by its constructor, so the table need not tell them apart.
type AnyClass = FactoryClass<Observer, never>;

const CLASSES: readonly AnyClass[] = [
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  PerChannelMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  HistogramObserver,
  PercentileObserver,
  EntropyObserver,
  MSEObserver,
  FixedQParamsObserver,
  PlaceholderObserver,
  NoopObserver,
  RecordingObserver,
  ReuseInputObserver,
  FakeQuantize,
  FixedQParamsFakeQuantize,
  FusedMovingAvgObsFakeQuantize,
  LearnableFakeQuantize,
];

function classOf(type: unknown): FactoryClass<Observer, object> {
  const found = CLASSES.find((Class) => Class.type === type);
  if (found === undefined) {
    throw stateError('type', `one of ${CLASSES.map((Class) => Class.type).join(', ')}`, type);
  }
  return found as unknown as FactoryClass<Observer, object>;
}

/**
 * The observer that `toJSON` saved: same options, same statistics.
 *
 * @throws FormatError STATE_INVALID for anything that is not such a state, of this version
 * @example observerFromJSON(JSON.parse(JSON.stringify(observer)))
 */
export function observerFromJSON(state: unknown): Observer {
  const saved = checkState(state);
  return guarded(() => factoryFromJSON(saved)()).restore(saved);
}

/**
 * The factory that `toJSON` saved, nested ones included.
 *
 * @throws FormatError STATE_INVALID if the class or one of its options is unknown
 */
export function factoryFromJSON(json: unknown): Factory<Observer> {
  if (typeof json !== 'object' || json === null) throw stateError('a factory', 'an object', json);
  const { type } = json as Partial<FactoryJSON>;
  const args = recordField(json as Record<string, unknown>, 'args');
  const entries = Object.entries(args).map(([key, value]) => [
    key,
    key === 'observer' ? factoryFromJSON(value) : value,
  ]);
  return guarded(() => makeFactory(classOf(type), Object.fromEntries(entries) as object));
}

/** Options that a constructor refuses are a fault of the state here, not of the caller. */
function guarded<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof QuantError) throw cause;
    throw stateError('args', 'options of the class', cause instanceof Error ? cause.message : cause);
  }
}
