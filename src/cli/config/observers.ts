/** From what a level says to the factories of a QConfig. */
import {
  EntropyObserver,
  HistogramObserver,
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  MSEObserver,
  PerChannelMinMaxObserver,
  PercentileObserver,
  type QConfig,
} from 'zeropoint';
import { UsageError } from '../errors.ts';
import type { ObserverName } from '../verbs/options.ts';
import type { ActivationConfig, WeightConfig } from './schema.ts';

const CODES = {
  uint8: 'quint8',
  int8: 'qint8',
  uint16: 'uint16',
  int16: 'int16',
  uint4: 'uint4',
  int4: 'int4',
} as const;

/** What an observer takes besides dtype and scheme. */
interface Extras {
  readonly percentile?: number;
  readonly averagingConstant?: number;
  readonly bins?: number;
}

interface Args extends Extras {
  readonly dtype: (typeof CODES)[keyof typeof CODES];
  readonly reduceRange: boolean;
  readonly rule: 'onnx';
}

type Factory = QConfig['activation'];
type Scheme = 'affine' | 'symmetric';

interface ObserverFacts {
  readonly extras: readonly (keyof Extras)[];
  readonly tensor: (args: Args, scheme: Scheme) => Factory;
  readonly channels?: (args: Args, scheme: Scheme) => Factory;
}

const OBSERVERS: Readonly<Record<ObserverName, ObserverFacts>> = {
  minmax: {
    extras: [],
    tensor: (args, scheme) => MinMaxObserver.withArgs({ ...args, qscheme: `per_tensor_${scheme}` }),
    channels: (args, scheme) =>
      PerChannelMinMaxObserver.withArgs({ ...args, qscheme: `per_channel_${scheme}` }),
  },
  'moving-average': {
    extras: ['averagingConstant'],
    tensor: (args, scheme) =>
      MovingAverageMinMaxObserver.withArgs({ ...args, qscheme: `per_tensor_${scheme}` }),
    channels: (args, scheme) =>
      MovingAveragePerChannelMinMaxObserver.withArgs({ ...args, qscheme: `per_channel_${scheme}` }),
  },
  histogram: {
    extras: ['bins'],
    tensor: (args, scheme) => HistogramObserver.withArgs({ ...args, qscheme: `per_tensor_${scheme}` }),
  },
  percentile: {
    extras: ['percentile', 'bins'],
    tensor: (args, scheme) => PercentileObserver.withArgs({ ...args, qscheme: `per_tensor_${scheme}` }),
  },
  entropy: {
    extras: ['bins'],
    tensor: (args, scheme) => EntropyObserver.withArgs({ ...args, qscheme: `per_tensor_${scheme}` }),
  },
  mse: {
    extras: ['bins'],
    tensor: (args, scheme) => MSEObserver.withArgs({ ...args, qscheme: `per_tensor_${scheme}` }),
  },
};

export function activationFactory(settings: ActivationConfig): Factory {
  const { observer = 'minmax', dtype = 'uint8', symmetric = false } = settings;
  return OBSERVERS[observer].tensor(argsOf(settings, dtype), symmetric ? 'symmetric' : 'affine');
}

/** @throws UsageError for an observer that knows no channels */
export function weightFactory(settings: WeightConfig, where: string): Factory {
  const { observer = 'minmax', dtype = 'int8', perChannel = true } = settings;
  const { symmetric = dtype.startsWith('int') } = settings;
  const { tensor, channels } = OBSERVERS[observer];
  const make = perChannel ? channels : tensor;
  // The wish of a target is about 8 bits.
  const reduceRange = settings.reduceRange === true && dtype.endsWith('8');
  const args = argsOf({ ...settings, reduceRange }, dtype);
  if (make !== undefined) return make(args, symmetric ? 'symmetric' : 'affine');
  throw new UsageError(
    `${where}.weight.observer: expected 'minmax' or 'moving-average' for a scale a channel, got '${observer}'`,
    'Or write perChannel: false.',
  );
}

/** @throws UsageError for a setting of another observer than the one in use */
export function checkExtras(
  own: (Extras & { readonly observer?: ObserverName }) | undefined,
  inherited: ObserverName | undefined,
  where: string,
): void {
  if (own === undefined) return;
  const { observer = inherited ?? 'minmax' } = own;
  const { extras } = OBSERVERS[observer];
  for (const name of ['percentile', 'averagingConstant', 'bins'] as const) {
    if (own[name] === undefined || extras.includes(name)) continue;
    const takers = Object.entries(OBSERVERS).filter(([, facts]) => facts.extras.includes(name));
    throw new UsageError(
      `${where}.${name}: expected observer ${takers.map(([taker]) => `'${taker}'`).join(', ')} beside it, got '${observer}'`,
    );
  }
}

/** Extras of the observer in use; those of another one may be left over from a wider level. */
function argsOf(settings: ActivationConfig | WeightConfig, dtype: keyof typeof CODES): Args {
  const { observer = 'minmax', reduceRange = false } = settings;
  const extras = OBSERVERS[observer].extras.filter((name) => settings[name] !== undefined);
  return {
    dtype: CODES[dtype],
    reduceRange,
    rule: 'onnx',
    ...Object.fromEntries(extras.map((name) => [name, settings[name]])),
  };
}
