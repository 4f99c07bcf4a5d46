/**
 * Bounds of what is held in memory while reading; tensors' elements are not counted, since they stay in the file. What a
 * file costs is estimated before it is held: bytes that its objects take here and in what is made of them, at the most (a node
 * in dynamic quantization becomes five). Measured by test/onnx-hostile.node.test.ts, which holds all of it to its bounds.
 */

/** Messages inside messages. The official parsers refuse more than 100, so no valid file has them. */
export const MAX_DEPTH = 100;

/** Default of what the structure of a file may cost: some 65,000 nodes. */
export const MAX_STRUCTURE_BYTES = 268_435_456;

/** Of an element, by type; texts and bytes cost their length too. */
export const COSTS = {
  string: 64,
  bytes: 240,
  int: 40,
  int64: 56,
  fixed32: 40,
  span: 200,
  spans: 200,
  message: 0,
} as const;

/** Of an unknown field that is held, besides its bytes. */
export const UNKNOWN_COST = 320;

/** Costs of a byte of text or bytes: names are held decoded, in tables, and once more while they are written. */
export const BYTE_COST = 3;

/** Unknown fields longer than this stay in the file and are copied from there; messages up to it are read at once. */
export const SMALL = 65_536;

/** A message must be shorter: protobuf's own limit, since lengths are signed 32-bit integers in many languages. */
export const MAX_MESSAGE_BYTES = 2_147_483_647;
