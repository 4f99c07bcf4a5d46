/**
 * Bounds of what is held in memory while reading; tensors' elements are not counted, since they stay in the file.
 * A model with 100,000 nodes needs a tenth of each. Together they keep a hostile file below about 1 GB.
 */

/** Messages inside messages. The official parsers refuse more than 100, so no valid file has them. */
export const MAX_DEPTH = 100;

/** Messages and unknown fields in a file; each costs an object of some 300 bytes even if it is two bytes long. */
export const MAX_MESSAGES = 2_000_000;

/** Fields in a file, elements of lists counted one by one: an integer of one byte becomes one of up to 80. */
export const MAX_FIELDS = 10_000_000;

/** Bytes of strings, attributes and unknown fields that are held. */
export const MAX_HELD_BYTES = 268_435_456;

/** Unknown fields longer than this stay in the file and are copied from there; messages up to it are read at once. */
export const SMALL = 65_536;

/** A message must be shorter: protobuf's own limit, since lengths are signed 32-bit integers in many languages. */
export const MAX_MESSAGE_BYTES = 2_147_483_647;
