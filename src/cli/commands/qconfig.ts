/** From words and a configuration file to a QConfigMapping: the file's levels over its global one over the target's. */
import { getDefaultQConfig, QConfig, QConfigMapping } from 'zeropoint';
import { findTarget, type Model } from 'zeropoint/onnx';
import { checkNodeName, checkOpType, matchingNames, patternSource } from '../config/node-names.ts';
import { activationFactory, checkExtras, weightFactory } from '../config/observers.ts';
import type { ActivationConfig, Level, WeightConfig } from '../config/schema.ts';
import { UsageError } from '../errors.ts';
import type { ConfigurationOptions } from '../verbs/options.ts';

/** Settings of a level with all that it takes over. */
interface Settings {
  readonly activation: ActivationConfig;
  readonly weight: WeightConfig;
}

/** @throws UsageError if a name, a pattern or an operator matches nothing, or settings contradict each other */
export function qconfigMappingOf(model: Model, options: ConfigurationOptions): QConfigMapping {
  const { settings = {}, config = '' } = options;
  const { global, opTypes = {}, namePatterns = {}, nodes = {} } = settings;
  const wide = withWords(over(targetSettings(options.target), global ?? {}), options);
  if (options.reduceRange) checkReducible(wide.weight, '--reduce-range');
  const made = (level: Level, where: string): QConfig | null =>
    qconfigOf(over(wide, level), level, `${config}: ${where}`);

  const ownGlobal = global === undefined ? {} : global;
  const mapping = new QConfigMapping().setGlobal(qconfigOf(wide, ownGlobal, `${config}: global`));
  for (const [opType, level] of Object.entries(opTypes)) {
    checkOpType(model, opType, `${config}: opTypes`);
    mapping.setObjectType(opType, made(level, `opTypes.${opType}`));
  }
  for (const [pattern, level] of Object.entries(namePatterns)) {
    matchingNames(model, pattern, `${config}: namePatterns`);
    mapping.setModuleNameRegex(`${patternSource(pattern)}$`, made(level, `namePatterns.${pattern}`));
  }
  for (const [name, level] of Object.entries(nodes)) {
    checkNodeName(model, name, `${config}: nodes`);
    mapping.setModuleName(name, made(level, `nodes.${name}`));
  }
  for (const name of excludedNames(model, options)) mapping.setModuleName(name, null);
  return mapping;
}

/** Nodes that stay in float because somebody said so, as reports call them. */
export function floatNodes(model: Model, mapping: QConfigMapping): readonly string[] {
  const nodes = [...model.graph.allNodes()];
  const qconfigs = mapping.resolveAll(nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })));
  return nodes.filter((_node, i) => qconfigs[i] === undefined).map(({ label }) => label);
}

function excludedNames(
  model: Model,
  { exclude = [], settings, config }: ConfigurationOptions,
): readonly string[] {
  const fromFile = new Set(settings?.exclude);
  return exclude.flatMap((pattern) =>
    matchingNames(model, pattern, fromFile.has(pattern) ? `${config}: exclude` : '--exclude'),
  );
}

/** What a target computes fast with. WebGPU computes with no codes at all: the CPU that nodes go back to says. */
function targetSettings(name: string = ''): Settings {
  const { activation, weight } = getDefaultQConfig(findTarget(name) ?? 'onnxruntime-cpu');
  return {
    activation: { dtype: activation().dtype === 'qint8' ? 'int8' : 'uint8' },
    weight: { reduceRange: weight.toJSON().args.reduceRange === true },
  };
}

function over(wide: Settings, level: Level): Settings {
  if (level === null || level === 'float') return wide;
  return {
    activation: { ...wide.activation, ...level.activation },
    weight: { ...wide.weight, ...level.weight },
  };
}

/** Words speak of every node that no narrower level speaks of. */
function withWords(
  { activation, weight }: Settings,
  { observer, activationDtype, weightDtype, reduceRange, perTensor }: ConfigurationOptions,
): Settings {
  return {
    activation: {
      ...activation,
      ...(observer && { observer }),
      ...(activationDtype && { dtype: activationDtype }),
    },
    weight: {
      ...weight,
      ...(weightDtype && { dtype: weightDtype }),
      ...(reduceRange && { reduceRange }),
      ...(perTensor && { perChannel: false }),
    },
  };
}

function qconfigOf({ activation, weight }: Settings, own: Level, where: string): QConfig | null {
  if (own === null || own === 'float') return null;
  checkExtras(own.activation, activation.observer, `${where}.activation`);
  checkExtras(own.weight, weight.observer, `${where}.weight`);
  if (own.weight?.reduceRange) checkReducible(weight, `${where}.weight.reduceRange`);
  return new QConfig({ activation: activationFactory(activation), weight: weightFactory(weight, where) });
}

function checkReducible({ dtype = 'int8' }: WeightConfig, where: string): void {
  if (dtype.endsWith('8')) return;
  throw new UsageError(`${where}: expected 8-bit weights`, `${dtype} cannot saturate: leave it out.`);
}
