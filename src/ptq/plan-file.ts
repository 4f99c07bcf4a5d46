/**
 * A plan to keep: what was calibrated, for which model, with which words and on what data. A plan for another model, or
 * two that do not belong together, are refused with what differs.
 */
import { CalibrationError, FormatError, GraphError } from '../errors.ts';
import { checkPlan, count, invalid, list, record, text } from './check-plan.ts';
import type { ModelIdentity } from './identify-model.ts';
import { mergePlans, type Plan } from './plan.ts';
import { VERSION } from './version.ts';

/** A data set, or a part of one, that a plan has seen. */
export interface DataPart {
  /** File or folder, for people. */
  readonly source: string;
  /** Samples seen. */
  readonly samples: number;
  readonly batchSize: number;
  /** Samples were drawn with this seed. */
  readonly seed?: number;
  /** Only this part of the batches was seen. */
  readonly shard?: { readonly index: number; readonly count: number };
  /** What decoded images. */
  readonly decoder?: string;
  /** Of the data as it lay there: equal for equal data, whatever it is called. */
  readonly digest?: string;
}

/** A plan with its origin, as JSON. */
export interface PlanFile {
  readonly format: 'zeropoint plan';
  readonly version: 1;
  /** What wrote it. */
  readonly producer: string;
  readonly model: ModelIdentity;
  /** The words that the plan was prepared with, such as `{ observer: 'minmax' }`. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** Whether layers were to be equalized before. */
  readonly equalize: boolean;
  readonly data: readonly DataPart[];
  readonly plan: Plan;
}

const FORMAT = 'zeropoint plan';

/** A file around a plan. */
export function planFile(parts: Omit<PlanFile, 'format' | 'version' | 'producer'>): PlanFile {
  return { format: FORMAT, version: 1, producer: `zeropoint ${VERSION}`, ...parts };
}

/**
 * Reads the text of a plan file; `where` names it in messages.
 * @throws FormatError STATE_INVALID for what is no JSON, no plan, of another version, or has a field that is wrong
 */
export function parsePlanFile(json: string, where = 'plan'): PlanFile {
  const file = record(parsed(json, where), where, 'the file');
  if (file.format !== FORMAT) throw invalid(where, 'format', `"${FORMAT}"`, file.format);
  if (file.version !== 1) throw invalid(where, 'version', '1', file.version);
  text(file.producer, where, 'producer');
  const model = record(file.model, where, 'model');
  for (const key of ['name', 'digest']) text(model[key], where, `model.${key}`);
  for (const key of ['size', 'opset']) count(model[key], where, `model.${key}`);
  record(file.configuration, where, 'configuration');
  if (typeof file.equalize !== 'boolean') throw invalid(where, 'equalize', 'true or false', file.equalize);
  for (const [i, part] of list(file.data, where, 'data').entries()) checkPart(part, where, `data[${i}]`);
  checkPlan(file.plan, where);
  // Every field has been looked at above.
  return file as unknown as PlanFile;
}

function parsed(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new FormatError(`${where}: expected a plan in JSON, got text that is none: ${String(cause)}`, {
      code: 'STATE_INVALID',
      hint: 'Make the plan again with zeropoint calibrate. NaN is no JSON.',
      cause,
    });
  }
}

function checkPart(json: unknown, where: string, field: string): void {
  const part = record(json, where, field);
  text(part.source, where, `${field}.source`);
  for (const key of ['samples', 'batchSize']) count(part[key], where, `${field}.${key}`);
  if (part.digest !== undefined) text(part.digest, where, `${field}.digest`);
  if (part.shard === undefined) return;
  const shard = record(part.shard, where, `${field}.shard`);
  const index = count(shard.index, where, `${field}.shard.index`);
  const of = count(shard.count, where, `${field}.shard.count`);
  if (index < 1 || index > of) throw invalid(where, `${field}.shard`, 'an index from 1 to count', shard);
}

/**
 * @throws GraphError GRAPH_INVALID unless `model` is the one that the plan was made for, telling what differs. Names may
 *   differ.
 */
export function checkSameModel(file: PlanFile, model: ModelIdentity, where = 'plan'): void {
  const difference = modelDifference(file.model, model);
  if (difference === undefined) return;
  throw new GraphError(
    `${where}: expected the model that the plan was made for (${file.model.name}), got another one (${model.name}): ${difference}`,
    {
      code: 'GRAPH_INVALID',
      hint: `Calibrate this model: zeropoint calibrate ${model.name} --calibrate <data>`,
      details: { expected: file.model, got: model },
    },
  );
}

function modelDifference(a: ModelIdentity, b: ModelIdentity): string | undefined {
  if (a.opset !== b.opset) return `opset ${a.opset} and ${b.opset}`;
  if (a.size !== b.size) return `${a.size} and ${b.size} bytes`;
  return a.digest === b.digest ? undefined : 'other nodes or weights';
}

/**
 * The plan of everything that the plans have seen. Equal to calibrating at once: exactly for min/max; in histograms values
 * lie less than a bin away on average, since each part has bins of its own.
 *
 * @throws CalibrationError CALIBRATION_MERGE for plans of different models, words or shards, for the same data twice or
 *   beside a shard of it, and for observers that cannot be merged (moving averages depend on the order of the batches); RangeError for none
 */
export function mergePlanFiles(files: readonly PlanFile[]): PlanFile {
  const [first, ...rest] = files;
  if (first === undefined) throw new RangeError('mergePlanFiles: expected at least one plan, got none');
  for (const file of rest) checkTogether(first, file);
  const data = files.flatMap((file) => file.data);
  checkShards(data);
  checkOnce(data);
  return { ...first, data, plan: files.map(({ plan }) => plan).reduce(mergePlans) };
}

function checkTogether(a: PlanFile, b: PlanFile): void {
  const model = modelDifference(a.model, b.model);
  if (model !== undefined)
    throw mergeError('plans of one model', `${a.model.name} and ${b.model.name}: ${model}`);
  const [ours, theirs] = [a, b].map(({ configuration, equalize }) => ({ ...configuration, equalize }));
  const differing = differingKey(ours, theirs);
  if (differing === undefined) return;
  const show = (words: Readonly<Record<string, unknown>>): string =>
    JSON.stringify(words[differing]) ?? 'the default';
  throw mergeError('plans of one configuration', `${differing} ${show(ours)} and ${show(theirs)}`);
}

function differingKey(
  a: Readonly<Record<string, unknown>>,
  b: Readonly<Record<string, unknown>>,
): string | undefined {
  const keys = [...Object.keys(a), ...Object.keys(b)];
  return keys.find((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}

/** Shards belong together if they are parts of one division, each there once. */
function checkShards(data: readonly DataPart[]): void {
  const parts = data.filter(({ shard }) => shard !== undefined);
  const shown = (part: DataPart): string => `${part.shard?.index}/${part.shard?.count}`;
  for (const [i, part] of parts.entries()) {
    const [first] = parts;
    if (part.shard?.count !== first.shard?.count)
      throw mergeError('shards of one count', `${shown(first)} and ${shown(part)}`);
    for (const key of ['batchSize', 'seed'] as const) {
      if (part[key] === first[key]) continue;
      throw mergeError('shards of one division', `${key} ${first[key] ?? 'none'} and ${part[key] ?? 'none'}`);
    }
    if (parts.findIndex((other) => other.shard?.index === part.shard?.index) !== i)
      throw mergeError('each shard once', `${shown(part)} twice`);
  }
}

/** What is merged twice counts twice. Of data that is not in shards nothing says which samples were drawn: it comes once. */
function checkOnce(data: readonly DataPart[]): void {
  const shown = ({ source, shard }: DataPart): string =>
    shard === undefined ? source : `${source} (shard ${shard.index}/${shard.count})`;
  for (const [i, part] of data.entries()) {
    const isTwice = (other: DataPart): boolean =>
      isSameData(other, part) && (other.shard === undefined || part.shard === undefined);
    const other = data.slice(0, i).find(isTwice);
    if (other === undefined) continue;
    throw mergeError('each sample once', `${shown(other)} and ${shown(part)}`, ONCE);
  }
}

const ONCE = 'Merge plans of different data, or of the shards of one: zeropoint calibrate --shard 1/2.';

/** By its digest; a plan without one has only the name. */
function isSameData(a: DataPart, b: DataPart): boolean {
  if (a.digest !== undefined && b.digest !== undefined) return a.digest === b.digest;
  return a.source === b.source;
}

function mergeError(expected: string, got: string, hint?: string): CalibrationError {
  return new CalibrationError(`merge: expected ${expected}, got ${got}`, { code: 'CALIBRATION_MERGE', hint });
}

/** The shards that are still to be merged, from 1; empty if the data is whole. */
export function missingShards({ data }: PlanFile): readonly number[] {
  const shards = data.flatMap(({ shard }) => shard ?? []);
  const total = shards[0]?.count ?? 0;
  const numbers = Array.from({ length: total }, (_, i) => i + 1);
  return numbers.filter((number) => shards.every(({ index }) => index !== number));
}
