/**
 * Initializers of the same element type, shape and bytes become one: exporters write a tied embedding twice, and tools
 * that copy blocks copy their weights.
 *
 * Cases:
 * 1. Two initializers of a graph, or one of a graph and one of a graph inside it: the first, or outer, one stays.
 * 2. Initializers of two graphs of which neither sees the other: left.
 * 3. Graph inputs (the caller may override them) and graph outputs (their names are the model's signature): left; what
 *    equals an output becomes the output's initializer.
 * 4. Less than {@link LEAST_BYTES} bytes, or elements without a fixed size (strings): left.
 *
 * Three sieves, each cheaper than the next, so that most weights are never read: type and shape, the first bytes, a
 * digest of all bytes. What passes them is compared byte for byte. Two tiles are in memory, whatever the weights weigh.
 */
import { elementBits } from '../graph/element-type.ts';
import { Fnv } from '../graph/fnv.ts';
import type { Model } from '../graph/model.ts';
import type { TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { graphsOf, present } from './access.ts';
import { onCopy, type PassResult } from './pass.ts';

/** Smaller constants gain nothing, and quantizers would find biases of zeros shared by layers. */
const LEAST_BYTES = 16_384;
const SAMPLE_BYTES = 256;
const TILE_BYTES = 1_048_576;

/** Makes equal initializers one; see the cases above. */
export function mergeDuplicateInitializers(model: Model): Promise<PassResult> {
  return onCopy(model, mergeDuplicateInitializersInPlace);
}

/** The same on a model that the caller owns. */
export async function mergeDuplicateInitializersInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  let modified = false;
  let groups = groupsOf([candidates(model)], shapeOf);
  for (const sieve of [sampleOf, digestOf]) groups = await regrouped(groups, sieve);
  for (const group of groups) modified = (await mergeGroup(group)) || modified;
  return { modified, skipped: [] };
}

/** Outer graphs first, so that what stays is seen by as many as can be. */
function candidates(model: Model): Value[] {
  return graphsOf(model.graph).flatMap(({ initializers }) =>
    [...initializers].filter(
      ({ isInput, initializer }) =>
        !isInput &&
        initializer !== undefined &&
        initializer.byteLength >= LEAST_BYTES &&
        elementBits(initializer.elementType) > 0,
    ),
  );
}

const sourceOf = ({ name, initializer }: Value): TensorSource =>
  present(initializer, `${name}: expected an initializer, got none`);

function shapeOf(value: Value): string {
  const { elementType, shape, byteLength } = sourceOf(value);
  return `${elementType} ${shape.join(' ')} ${byteLength}`;
}

async function sampleOf(value: Value): Promise<string> {
  return (await sourceOf(value).read(0, SAMPLE_BYTES)).join(' ');
}

async function digestOf(value: Value): Promise<string> {
  const hash = new Fnv();
  const source = sourceOf(value);
  const tile = new Uint8Array(Math.min(TILE_BYTES, source.byteLength));
  for (const [offset, length] of tiles(source)) {
    hash.bytes(await source.read(offset, length, tile.subarray(0, length)));
  }
  return hash.digest();
}

function* tiles({ byteLength }: TensorSource): Generator<[offset: number, length: number]> {
  for (let offset = 0; offset < byteLength; offset += TILE_BYTES) {
    yield [offset, Math.min(TILE_BYTES, byteLength - offset)];
  }
}

/** Splits groups by a key; those of one member are dropped. */
function groupsOf(groups: readonly Value[][], key: (value: Value) => string): Value[][] {
  return groups.flatMap((group) => parts(group, key)).filter(({ length }) => length > 1);
}

function parts(group: readonly Value[], key: (value: Value) => string): Value[][] {
  const byKey = new Map<string, Value[]>();
  for (const value of group) {
    const part = byKey.get(key(value));
    if (part === undefined) byKey.set(key(value), [value]);
    else part.push(value);
  }
  return [...byKey.values()];
}

async function regrouped(
  groups: readonly Value[][],
  key: (value: Value) => Promise<string>,
): Promise<Value[][]> {
  const keys = new Map<Value, string>();
  for (const value of groups.flat()) keys.set(value, await key(value));
  return groupsOf(groups, (value) => keys.get(value) ?? '');
}

async function mergeGroup(group: readonly Value[]): Promise<boolean> {
  // An output has to stay, so the others become it.
  const [...kept] = group.filter(({ isOutput }) => isOutput);
  let modified = false;
  for (const value of group) {
    if (value.isOutput) continue;
    const twin = kept.find((other) => canReplace(other, value));
    if (twin === undefined || !(await areEqual(sourceOf(value), sourceOf(twin)))) {
      kept.push(value);
      continue;
    }
    value.graph.replaceAllUses(value, twin);
    value.graph.removeValue(value);
    modified = true;
  }
  return modified;
}

/** Every reader of `value` finds `twin` under its name; graphs in between may define the name anew. */
function canReplace(twin: Value, value: Value): boolean {
  return (
    value.graph.resolve(twin.name) === twin &&
    [...value.consumers].every(({ graph }) => graph?.resolve(twin.name) === twin)
  );
}

async function areEqual(a: TensorSource, b: TensorSource): Promise<boolean> {
  const [left, right] = [0, 1].map(() => new Uint8Array(Math.min(TILE_BYTES, a.byteLength)));
  for (const [offset, length] of tiles(a)) {
    const x = await a.read(offset, length, left.subarray(0, length));
    const y = await b.read(offset, length, right.subarray(0, length));
    if (x.some((byte, i) => byte !== y[i])) return false;
  }
  return true;
}
