/** From the words of `zeropoint quantize` to a QConfigMapping. */
import {
  EntropyObserver,
  getDefaultQConfig,
  HistogramObserver,
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  MSEObserver,
  PercentileObserver,
  type QConfigMapping,
} from 'zeropoint';
import { findTarget, staticQConfigMapping, type ActivationDType, type Model } from 'zeropoint/onnx';
import { UsageError } from '../errors.ts';
import type { ConfigurationOptions, ObserverName } from '../verbs/options.ts';

/** As observers name them. */
const DTYPES = {
  uint8: 'quint8',
  int8: 'qint8',
  uint16: 'uint16',
  int16: 'int16',
} as const satisfies Record<ActivationDType, string>;

interface ActivationArgs {
  readonly dtype: (typeof DTYPES)[ActivationDType];
  readonly rule: 'onnx';
}

const OBSERVERS = {
  minmax: (args: ActivationArgs) => MinMaxObserver.withArgs(args),
  'moving-average': (args: ActivationArgs) => MovingAverageMinMaxObserver.withArgs(args),
  histogram: (args: ActivationArgs) => HistogramObserver.withArgs(args),
  percentile: (args: ActivationArgs) => PercentileObserver.withArgs(args),
  entropy: (args: ActivationArgs) => EntropyObserver.withArgs(args),
  mse: (args: ActivationArgs) => MSEObserver.withArgs(args),
} as const satisfies Record<ObserverName, unknown>;

/** What a target computes fast with. WebGPU computes with no codes at all: the CPU that nodes go back to says. */
function targetCodes(name: string = ''): {
  readonly activation: 'quint8' | 'qint8';
  readonly reduceRange: boolean;
} {
  const { activation, weight } = getDefaultQConfig(findTarget(name) ?? 'onnxruntime-cpu');
  return {
    activation: activation().dtype === 'qint8' ? 'qint8' : 'quint8',
    reduceRange: weight.toJSON().args.reduceRange === true,
  };
}

/** @throws UsageError if a pattern of `--exclude` matches no node, or `--reduce-range` meets 4-bit weights */
export function qconfigMappingOf(model: Model, options: ConfigurationOptions): QConfigMapping {
  const { observer = 'minmax', activationDtype, perTensor = false } = options;
  const { weightDtype: weightDType = 'int8' } = options;
  const isNarrow = weightDType.endsWith('4');
  if (options.reduceRange && isNarrow)
    throw new UsageError(
      '--reduce-range: expected 8-bit weights',
      `${weightDType} cannot saturate: leave it out.`,
    );
  const target = targetCodes(options.target);
  const dtype = activationDtype === undefined ? target.activation : DTYPES[activationDtype];
  const activation = OBSERVERS[observer]({ dtype, rule: 'onnx' });
  const reduceRange = options.reduceRange ?? (target.reduceRange && !isNarrow);
  const mapping = staticQConfigMapping({ perChannel: !perTensor, activation, weightDType, reduceRange });
  for (const name of excludedNames(model, options)) mapping.setModuleName(name, null);
  return mapping;
}

/** @throws UsageError if a pattern of `--exclude` matches no node */
export function excludedNames(model: Model, { exclude = [] }: ConfigurationOptions): readonly string[] {
  return exclude.flatMap((pattern) => matchingNames(model, pattern));
}

function matchingNames(model: Model, pattern: string): readonly string[] {
  const literal = pattern.split('*').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  const matcher = new RegExp(`^${literal.join('.*')}$`, 's');
  // A node without a name cannot be meant, and '' would mean the whole model.
  const names = [...model.graph.allNodes()].map((node) => node.name).filter((name) => name !== '');
  const matches = names.filter((name) => matcher.test(name));
  if (matches.length > 0) return matches;
  throw new UsageError(
    `--exclude: expected the name of a node, got '${pattern}', which matches none`,
    names.length === 0 ? 'The nodes of this model have no names.' : `Names look like ${examples(names)}.`,
  );
}

function examples(names: readonly string[]): string {
  return names
    .slice(0, 3)
    .map((name) => `'${name}'`)
    .join(', ');
}
