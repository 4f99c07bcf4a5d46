/**
 * Models of test/fixtures/onnx, made by scripts/fixtures/onnx_models.py; digits_cnn was trained for this project and
 * exported by PyTorch.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MemorySink, readModel, writeModel, type Model, type SourceLike } from 'zeropoint/onnx';

/** Fixtures that are one file. */
export const FIXTURES = [
  'annotated',
  'attributes',
  'digits_cnn',
  'functions',
  'mlp',
  'old',
  'sparse',
  'subgraphs',
  'types',
  'unknown_fields',
] as const;

export function fixturePath(file: string): string {
  return fileURLToPath(new URL(`../fixtures/onnx/${file}`, import.meta.url));
}

export function fixture(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(fixturePath(`${name}.onnx`)));
}

export async function written(model: Model): Promise<Uint8Array<ArrayBuffer>> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

export async function roundTrip(source: SourceLike): Promise<Uint8Array<ArrayBuffer>> {
  return written(await readModel(source));
}

/** First place where two byte strings differ; undefined if they are equal. Much faster than `toEqual` on long ones. */
export function difference(a: Uint8Array, b: Uint8Array): string | undefined {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return `byte ${i} of ${a.length}: ${a[i]}, not ${b[i]}`;
  return undefined;
}
