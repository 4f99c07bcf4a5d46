import { expect, it } from 'vitest';
import { buildModel, readModel, writeModel, type Source, type TensorSource } from 'zeropoint/onnx';

const GIB = 2 ** 30;
/** Bytes that may be read of a file of 1.9 GB to know its structure. */
const STRUCTURE_BYTES = 300_000;
const TENSORS = 19;
const TENSOR_BYTES = 100_000_000;

/** Keeps what is written, but of long stretches (tensors) only their length; they read back as zeros. */
class SparseFile implements Source {
  size = 0;
  bytesRead = 0;
  readonly #pieces: {
    readonly start: number;
    readonly bytes: Uint8Array | undefined;
    readonly length: number;
  }[] = [];

  write(bytes: Uint8Array): void {
    const isZero = bytes.length > 1_000_000;
    this.#pieces.push({ start: this.size, bytes: isZero ? undefined : bytes, length: bytes.length });
    this.size += bytes.length;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    this.bytesRead += length;
    const out = new Uint8Array(length);
    for (const { start, bytes, length: size } of this.#pieces) {
      const from = Math.max(offset, start);
      const to = Math.min(offset + length, start + size);
      if (bytes !== undefined && from < to) out.set(bytes.subarray(from - start, to - start), from - offset);
    }
    return Promise.resolve(out);
  }
}

function zeros(byteLength: number): TensorSource {
  return {
    elementType: 'uint8',
    shape: [byteLength],
    byteLength,
    where: 'test',
    load: () => Promise.reject(new Error('never')),
    read: (_, length) => Promise.resolve(new Uint8Array(length)),
  };
}

it('of a model of 1.9 GB less than 300 KB are read, and a tensor only when it is asked for', async () => {
  const model = buildModel((b) => {
    let value = b.input('x', 'uint8', [1]);
    for (let i = 0; i < TENSORS; i++) {
      value = b.op('Add', [value, b.graph.addInitializer(`w${i}`, zeros(TENSOR_BYTES))]);
    }
    b.output(value, 'y');
  });
  const file = new SparseFile();
  await writeModel(model, { write: (bytes) => file.write(bytes) });
  expect(file.size).toBeGreaterThan(1.7 * GIB);
  const { graph } = await readModel({ size: file.size, read: (offset, length) => file.read(offset, length) });
  expect(graph.nodes.size).toBe(TENSORS);
  expect(file.bytesRead).toBeLessThan(STRUCTURE_BYTES);
  expect(await graph.value('w18')?.initializer?.read(TENSOR_BYTES - 2, 2)).toEqual(new Uint8Array(2));
  expect(file.bytesRead).toBeLessThan(STRUCTURE_BYTES);
});

it('20,000 nodes are written and read within the time of a test: nothing grows with their square', async () => {
  const model = buildModel((b) => {
    let value = b.input('x', 'float32', ['N', 3]);
    for (let i = 0; i < 20_000; i++) value = b.op('Conv', [value], { pads: [1, 1, 1, 1], alpha: 0.5 });
    b.output(value, 'y');
  });
  const pieces: Uint8Array[] = [];
  await writeModel(model, { write: (bytes) => void pieces.push(bytes) });
  const again = await readModel(new Uint8Array(Buffer.concat(pieces)));
  expect(again.graph.nodes.size).toBe(20_000);
});
