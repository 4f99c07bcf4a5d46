import { describe, expect, it } from 'vitest';
import { PieceWriter, type Sink } from './sink.ts';
import type { Span } from './protobuf/schema.ts';

const MIB = 1_048_576;

/** A span of bytes that say which mebibyte they are of; `into` is filled if it is lent. */
function numbered(mebibytes: number, onRead: (offset: number) => void = () => undefined): Span {
  const read = (offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> => {
    onRead(offset);
    const bytes = into ?? new Uint8Array(length);
    for (let i = 0; i < length; i += MIB) bytes.fill((offset + i) / MIB, i, i + MIB);
    return Promise.resolve(bytes);
  };
  return { source: { read }, offset: 0, length: mebibytes * MIB };
}

const later = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 1));

describe('PieceWriter', () => {
  it('reads the next piece while one is written, and writes one at a time, in order', async () => {
    const events: string[] = [];
    const sink: Sink = {
      async write(bytes) {
        events.push(`begin ${bytes[0]}`);
        await later();
        events.push(`end ${bytes[0]}`);
      },
    };
    const writer = new PieceWriter(sink);
    await writer.write(numbered(12, (offset) => events.push(`read ${offset / MIB}`)));
    await writer.flush();
    const writes = events.filter((event) => !event.startsWith('read'));
    expect(writes).toEqual(['begin 0', 'end 0', 'begin 4', 'end 4', 'begin 8', 'end 8']);
    expect(events.indexOf('read 4')).toBeLessThan(events.indexOf('end 0'));
    expect(events.indexOf('read 8')).toBeLessThan(events.indexOf('end 4'));
  });

  it.each([
    [true, 2],
    [undefined, 5],
  ])(
    'copies %s: reads 20 MiB into %d pieces of memory, and gives them on unchanged',
    async (copies, count) => {
      const memory = new Set<ArrayBufferLike>();
      const written: number[] = [];
      const sink: Sink = {
        ...(copies && { copies }),
        async write(bytes) {
          await later();
          memory.add(bytes.buffer);
          for (let i = 0; i < bytes.length; i += MIB) written.push(bytes[i], bytes[i + MIB - 1]);
        },
      };
      const writer = new PieceWriter(sink);
      await writer.write(numbered(20));
      await writer.flush();
      expect(written).toEqual(Array.from({ length: 20 }, (_, i) => [i, i]).flat());
      expect(memory.size).toBe(count);
    },
  );

  it('tells of a failed write with the next piece, or with the flush', async () => {
    const sink: Sink = { name: 'full.onnx', write: () => Promise.reject(new Error('full')) };
    const expected = { code: 'OUTPUT_FAILED', message: 'full.onnx: expected to write, got Error: full' };
    await expect(new PieceWriter(sink).write(numbered(8))).rejects.toMatchObject(expected);
    const writer = new PieceWriter(sink);
    await writer.write(numbered(2));
    await expect(writer.flush()).rejects.toMatchObject(expected);
  });

  it('waits for the write that is under way before it tells of a failed read', async () => {
    const events: string[] = [];
    const sink: Sink = {
      async write() {
        await later();
        events.push('written');
      },
    };
    const failing = numbered(8, (offset) => {
      if (offset > 0) throw new Error('gone');
    });
    await new PieceWriter(sink).write(failing).catch((error: unknown) => events.push(String(error)));
    expect(events).toEqual(['written', 'Error: gone']);
  });
});
