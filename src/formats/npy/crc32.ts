/**
 * CRC-32 as zip files have it (PKWARE APPNOTE 6.3, section 4.4.7): polynomial 0xedb88320, bits reflected, begun with and
 * ended by all ones.
 */

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ ((rest & 1) === 0 ? 0 : 0xedb88320);
  return rest;
});

/** The CRC-32 of bytes whose beginning had `crc`; 0 is that of no bytes. An integer in 0..2^32 - 1. */
export function crc32(bytes: Uint8Array, crc = 0): number {
  let rest = ~crc;
  for (let i = 0; i < bytes.length; i++) rest = TABLE[(rest ^ bytes[i]) & 0xff] ^ (rest >>> 8);
  return ~rest >>> 0;
}
