/** Tells people what they have given us instead of an ONNX model. ONNX has no magic number of its own. */
import { FormatError } from '../../errors.ts';
import { LENGTH, VARINT } from '../protobuf/schema.ts';

const MAGIC: readonly (readonly [name: string, bytes: readonly number[], offset?: number])[] = [
  ['a PNG image', [0x89, 0x50, 0x4e, 0x47]],
  ['a JPEG image', [0xff, 0xd8, 0xff]],
  ['a zip archive (.npz, .pt, .zip)', [0x50, 0x4b, 0x03, 0x04]],
  ['gzip data', [0x1f, 0x8b]],
  ['a NumPy array (.npy)', [0x93, 0x4e, 0x55, 0x4d]],
  ['a GGUF model', [0x47, 0x47, 0x55, 0x46]],
  ['an HDF5 file (Keras)', [0x89, 0x48, 0x44, 0x46]],
  ['a TensorFlow Lite model', [0x54, 0x46, 0x4c, 0x33], 4],
  ['an onnxruntime .ort model', [0x4f, 0x52, 0x54, 0x4d], 4],
  ['JSON', [0x7b]],
  ['a safetensors file', [0x7b, 0x22], 8],
  ['a Git LFS pointer (the model itself was not downloaded)', [0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e]],
  ['a web page', [0x3c, 0x21]],
  ['a web page', [0x3c, 0x68, 0x74, 0x6d, 0x6c]],
  ['a pickle', [0x80, 0x02]],
];

/** Bytes that {@link notOnnx} looks at. */
export const SNIFF_BYTES = 16;

/** Fields of ModelProto with their wire types; a file begins with one of them. */
const FIRST: Readonly<Record<number, number>> = {
  1: VARINT,
  2: LENGTH,
  3: LENGTH,
  4: LENGTH,
  5: VARINT,
  6: LENGTH,
  7: LENGTH,
  8: LENGTH,
  14: LENGTH,
  20: LENGTH,
  25: LENGTH,
  26: LENGTH,
};

/** What a file that begins with `head` is, if it cannot be a ModelProto; undefined if it can. */
export function notOnnx(head: Uint8Array): string | undefined {
  const known = MAGIC.find(([, bytes, offset = 0]) => bytes.every((byte, i) => head[offset + i] === byte));
  if (known !== undefined) return known[0];
  // Tags of two bytes: fields from 16 on.
  const tag = head[0] < 0x80 ? head[0] : (head[0] & 0x7f) | ((head[1] ?? 0) << 7);
  return FIRST[tag >> 3] === (tag & 7) ? undefined : 'other bytes';
}

export function notOnnxError(file: string, got: string): FormatError {
  return new FormatError(`${file}: expected an ONNX model, got ${got}`, {
    code: 'FORMAT_NOT_ONNX',
    details: { file, offset: 0 },
  });
}
