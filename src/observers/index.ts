/** The observers' public names. */
export { EntropyObserver, type EntropyObserverOptions } from './entropy-observer.ts';
export type { Factory, FactoryJSON } from './factory.ts';
export { FakeQuantizeBase, type FakeQuantizeModuleOptions } from './fake-quantize-base.ts';
export { FakeQuantize } from './fake-quantize.ts';
export {
  FixedQParamsFakeQuantize,
  type FixedQParamsFakeQuantizeOptions,
} from './fixed-qparams-fake-quantize.ts';
export { FixedQParamsObserver, type FixedQParamsObserverOptions } from './fixed-qparams-observer.ts';
export { factoryFromJSON, observerFromJSON } from './from-json.ts';
export { FusedMovingAvgObsFakeQuantize } from './fused-moving-avg-obs-fake-quantize.ts';
export { HistogramObserver, type HistogramObserverOptions } from './histogram-observer.ts';
export { LearnableFakeQuantize, type LearnableFakeQuantizeOptions } from './learnable-fake-quantize.ts';
export { MinMaxObserver, type MinMaxObserverOptions } from './min-max-observer.ts';
export {
  MovingAverageMinMaxObserver,
  type MovingAverageMinMaxObserverOptions,
} from './moving-average-min-max-observer.ts';
export {
  MovingAveragePerChannelMinMaxObserver,
  type MovingAveragePerChannelMinMaxObserverOptions,
} from './moving-average-per-channel-min-max-observer.ts';
export { MSEObserver, type MSEObserverOptions } from './mse-observer.ts';
export { NoopObserver, type NoopObserverOptions } from './noop-observer.ts';
export { Observer, type ObserveContext } from './observer.ts';
export {
  PerChannelMinMaxObserver,
  type PerChannelMinMaxObserverOptions,
} from './per-channel-min-max-observer.ts';
export { PercentileObserver, type PercentileObserverOptions } from './percentile-observer.ts';
export { PlaceholderObserver, type PlaceholderObserverOptions } from './placeholder-observer.ts';
export { RecordingObserver, type RecordingObserverOptions } from './recording-observer.ts';
export { ReuseInputObserver } from './reuse-input-observer.ts';
export type { ObserverState } from './state.ts';
