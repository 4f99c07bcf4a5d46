/** The float models that variants are made of: found among files by name, read, and checked before anything is made. */
import { FormatError, GraphError } from '../../errors.ts';
import { readModel, type ReadModelOptions } from '../../formats/onnx/read-model.ts';
import { openSource, type Source, type SourceLike } from '../../formats/source.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Model } from '../../graph/model.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { quantizedOps } from '../../ptq/check-model.ts';
import { findBaseFiles, variantFile } from './dtypes.ts';

/** Files by name, as they lie in one folder: models, and their external data. */
export type ModelFiles = Readonly<Record<string, SourceLike>>;

/** A float model to start from. */
export interface BaseFile {
  /** Its file without `.onnx`: `model`, `decoder_model_merged`. */
  readonly base: string;
  readonly file: string;
  /** Bytes, external data included. */
  readonly size: number;
  /** Its files of external data. */
  readonly externalData: readonly string[];
  /** Present if pages cannot load it as it is: transformers.js looks for its external data under other names. */
  readonly note?: string;
}

export interface OpenedBase extends BaseFile {
  readonly model: Model;
}

/** Whether a source is one model, and not files by name. */
export function isOneSource(source: SourceLike | ModelFiles): source is SourceLike {
  if (typeof source === 'string' || source instanceof URL || ArrayBuffer.isView(source)) return true;
  if (source instanceof ArrayBuffer || (typeof Blob === 'function' && source instanceof Blob)) return true;
  return 'read' in source && typeof source.read === 'function';
}

/** One model under the name of its file. */
export async function asFiles(source: SourceLike): Promise<ModelFiles> {
  const { name = '' } = (await openSource(source)).source;
  return { [/.\.onnx$/.test(name) ? name : 'model.onnx']: source };
}

type OpenBasesOptions = Pick<ReadModelOptions, 'maxStructureBytes'> & { readonly allowQuantized?: boolean };

/**
 * Opens every base file. Weights stay where they are.
 *
 * @throws FormatError FORMAT_NOT_A_FILE if there is none, EXTERNAL_DATA_MISSING if a part of one is missing, and what readModel
 *   throws; GraphError GRAPH_NOT_QUANTIZABLE for a model that is quantized, unless `allowQuantized`
 */
export async function openBases(
  files: ModelFiles,
  { allowQuantized = false, maxStructureBytes }: OpenBasesOptions,
): Promise<readonly OpenedBase[]> {
  const { bases, variants } = findBaseFiles(Object.keys(files));
  if (bases.length === 0) throw noBases(Object.keys(files), variants);
  const opened: OpenedBase[] = [];
  for (const base of bases) opened.push(await openBase(base, files, maxStructureBytes));
  if (!allowQuantized) opened.forEach(checkFloat);
  return opened;
}

async function openBase(
  base: string,
  files: ModelFiles,
  maxStructureBytes: number | undefined,
): Promise<OpenedBase> {
  const file = variantFile(base, 'fp32');
  const { source, openExternal } = await openSource(files[file]);
  const external = new Map<string, Source>();
  const find = async (location: string): Promise<Source | undefined> => {
    const given = Object.hasOwn(files, location) ? files[location] : undefined;
    const found = given === undefined ? await openExternal?.(location) : (await openSource(given)).source;
    if (found !== undefined) external.set(location, found);
    return found;
  };
  const model = await readModel(named(source, file), { externalData: find, maxStructureBytes });
  const sizes = [...external.values()].map(({ size }) => size);
  const externalData = [...external.keys()];
  const note = notFound(file, externalData);
  return {
    base,
    file,
    model,
    externalData,
    size: sizes.reduce((sum, size) => sum + size, source.size),
    ...(note !== undefined && { note }),
  };
}

/** Pages cannot list a folder: transformers.js knows the names of external data from the model's. */
function notFound(file: string, externalData: readonly string[]): string | undefined {
  const wanted = externalData.map((_, i) => `${file}_data${i === 0 ? '' : `_${i}`}`);
  const other = externalData.find((name) => !wanted.includes(name));
  if (other === undefined) return undefined;
  return `pages cannot load it: its external data is in ${other}, transformers.js looks for ${wanted.join(', ')}`;
}

/** Blobs and bytes go by what they are called here. */
function named(source: Source, name: string): Source {
  return { size: source.size, name, read: (offset, length, into) => source.read(offset, length, into) };
}

function noBases(files: readonly string[], variants: readonly string[]): FormatError {
  const got =
    variants.length > 0
      ? `variants alone (${variants.join(', ')})`
      : files.length === 0
        ? 'no file'
        : 'no .onnx file';
  return new FormatError(`variants: expected float models such as model.onnx, got ${got}`, {
    code: 'FORMAT_NOT_A_FILE',
    hint: 'Variants are made of the float export: put model.onnx, decoder_model_merged.onnx and the like there.',
    details: { files: [...files] },
  });
}

function checkFloat({ file, model }: OpenedBase): void {
  const counts = [...quantizedOps(model)].map(([op, count]) => `${count} ${op}`);
  if (counts.length === 0) return;
  throw new GraphError(`${file}: expected a float model, got one that is quantized (${counts.join(', ')})`, {
    code: 'GRAPH_NOT_QUANTIZABLE',
    hint: 'Start from the float model that it was made of, or allow quantized models (--force) to do what is float in it.',
    details: { file, ops: Object.fromEntries(quantizedOps(model)) },
  });
}

/** Bytes of all constants that are initializers, bodies included. */
export function weightBytes({ graph }: Model): number {
  const sources: TensorSource[] = [];
  const visit = (at: Graph): void => {
    for (const { constant } of at.initializers) if (constant !== undefined) sources.push(constant);
    for (const node of at.nodes) node.subgraphs.forEach(visit);
  };
  visit(graph);
  return sources.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
