/**
 * Sub-byte codes: element i of `bits` bits lies in byte floor(i·bits/8), first element in the lowest bits,
 * over the flat index with no row padding. Signed codes are two's complement of `bits` bits.
 */

/** Bit widths that pack. */
export type PackedBits = 2 | 4;

/**
 * Packs `codes` (each already inside the range of `bits` bits, signed or not; higher bits are dropped).
 * Unused high bits of the last byte are 0. `out`, if given, must have ceil(n·bits/8) bytes.
 */
export function packBits(codes: ArrayLike<number>, bits: PackedBits, out?: Uint8Array): Uint8Array {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  const length = Math.ceil(codes.length / perByte);
  const packed = checkedOut(out, length) ?? new Uint8Array(length);
  for (let byte = 0; byte < length; byte++) {
    let value = 0;
    const first = byte * perByte;
    const count = Math.min(perByte, codes.length - first);
    for (let k = 0; k < count; k++) value |= (codes[first + k] & mask) << (k * bits);
    packed[byte] = value;
  }
  return packed;
}

/** Unpacks `count` codes; `signed` extends the sign bit. Throws RangeError if `packed` is too short. */
export function unpackBits(
  packed: Uint8Array,
  bits: PackedBits,
  count: number,
  signed: boolean,
): Int8Array | Uint8Array {
  const perByte = 8 / bits;
  if (packed.length * perByte < count) {
    throw new RangeError(`unpackBits: expected ${Math.ceil(count / perByte)} bytes, got ${packed.length}`);
  }
  const mask = (1 << bits) - 1;
  const shift = 32 - bits;
  const codes = signed ? new Int8Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const code = (packed[Math.floor(i / perByte)] >> ((i % perByte) * bits)) & mask;
    codes[i] = signed ? (code << shift) >> shift : code;
  }
  return codes;
}

function checkedOut(out: Uint8Array | undefined, length: number): Uint8Array | undefined {
  if (out !== undefined && out.length !== length) {
    throw new RangeError(`packBits: expected out of ${length} bytes, got ${out.length}`);
  }
  return out;
}
