/**
 * Keeps a running calibration beside its output, so that a kill costs at most one batch, or a second of work where batches
 * are shorter: writing the state after each of a thousand batches a second would take longer than the batches.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CalibrationError, QuantError } from 'zeropoint';
import {
  checkSameModel,
  parsePlanFile,
  planFile,
  type DataPart,
  type Plan,
  type PlanFile,
} from 'zeropoint/onnx';

/** What is kept: a plan file, and how far it is. */
interface KeptState extends PlanFile {
  readonly resume: {
    /** Batches that the plan has seen. */
    readonly batches: number;
    /** Samples of the whole pass. */
    readonly samples: number;
  };
}

/** What a calibration is of: everything in its plan file but the plan. */
export type PlanOrigin = Parameters<typeof planFile>[0];

const SAVE_MS = 1000;

/** `dir/plan.json` → `dir/plan.json.partial` */
export function partialPath(output: string): string {
  return `${output}.partial`;
}

/** Where an earlier call stopped; undefined if none was. @throws CalibrationError if it was about something else */
export async function readKept(
  output: string,
  origin: PlanOrigin,
): Promise<{ readonly plan: Plan; readonly batches: number } | undefined> {
  const path = partialPath(output);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // parsePlanFile has looked at the plan; what is added to it is looked at here.
  const state = parsePlanFile(text, path) as PlanFile & Partial<KeptState>;
  checkSameModel(state, origin.model, path);
  checkSameJob(path, jobOf(state, state.resume?.samples), jobOf(origin, origin.data[0].samples));
  checkSameData(path, state.data[0]?.digest, origin.data[0].digest);
  const batches = state.resume?.batches;
  if (!Number.isSafeInteger(batches)) throw differs(path, 'batches', 'a count', batches);
  return { plan: state.plan, batches: batches as number };
}

/** What must be the same for a calibration to go on. */
function jobOf({ configuration, equalize, data }: PlanOrigin, samples: unknown): Record<string, unknown> {
  const { source, batchSize, seed, shard, decoder } = (data[0] ?? {}) as Partial<DataPart>;
  const name = basename(source ?? '');
  return { ...configuration, equalize, data: name, samples, batchSize, seed, shard, decoder };
}

function checkSameJob(path: string, kept: Record<string, unknown>, now: Record<string, unknown>): void {
  for (const key of Object.keys({ ...kept, ...now })) {
    if (JSON.stringify(kept[key]) !== JSON.stringify(now[key])) throw differs(path, key, kept[key], now[key]);
  }
}

/** Other data may have the same name and as many samples. Version 0.1.0 kept no digest. */
function checkSameData(path: string, kept: string | undefined, now: string | undefined): void {
  if (kept !== undefined && kept !== now) throw differs(path, 'data of digest', kept, now);
}

function differs(path: string, key: string, kept: unknown, now: unknown): CalibrationError {
  const show = (value: unknown): string => JSON.stringify(value) ?? 'the default';
  return new CalibrationError(`${path}: expected to go on with ${key} ${show(kept)}, got ${show(now)}`, {
    code: 'CALIBRATION_INPUT',
    hint: 'Give the same words as before and --resume, or begin anew with --force.',
    details: { key },
  });
}

/** Writes states now and then. */
export class Keeper {
  readonly #output: string;
  readonly #origin: PlanOrigin;
  readonly #before: number;
  #saved = performance.now();
  #last: { readonly soFar: () => Plan; readonly batches: number } | undefined;

  /** `before`: batches that earlier calls have shown. */
  constructor(output: string, origin: PlanOrigin, before: number) {
    this.#output = output;
    this.#origin = origin;
    this.#before = before;
  }

  /** For `calibrate`: saves if it is time. */
  readonly checkpoint = async (soFar: () => Plan, batches: number): Promise<void> => {
    this.#last = { soFar, batches };
    if (performance.now() - this.#saved >= SAVE_MS) await this.save();
  };

  /** Writes the state after the last batch. False if there was none. */
  async save(): Promise<boolean> {
    if (this.#last === undefined) return false;
    const plan = this.#last.soFar();
    const [part] = this.#origin.data;
    const state: KeptState = {
      ...planFile({ ...this.#origin, data: [{ ...part, samples: plan.samples }], plan }),
      resume: { batches: this.#before + this.#last.batches, samples: part.samples },
    };
    await replaceFile(partialPath(this.#output), JSON.stringify(state));
    this.#saved = performance.now();
    return true;
  }

  /** Removes the state: it is not needed any more. */
  async discard(): Promise<void> {
    await rm(partialPath(this.#output), { force: true });
  }
}

/** A reader sees the old text or the new one, whenever the process ends. */
async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new QuantError(`${path}: expected to write the state, got ${String(cause)}`, {
      code: 'OUTPUT_FAILED',
      hint: 'Check that the folder can be written to and has space.',
      cause,
    });
  }
}
