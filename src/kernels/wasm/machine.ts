/**
 * The compiled module and its instances. Every instance has a memory of fixed size, so that views on it never detach:
 * one small instance stages ordinary arrays, each arena has its own (arena.ts).
 */
import { decodeBase64 } from './base64.ts';
import { WASM_BASE64 } from './module.generated.ts';

/** Functions of assembly/index.ts; their docs are there. Numbers are addresses, counts and float32 values. */
export interface Functions {
  quantizeByRow(
    bytes: number,
    rule: number,
    src: number,
    dst: number,
    rows: number,
    cols: number,
    first: number,
    params: number,
    low: number,
    high: number,
    nan: number,
    codeBias: number,
  ): void;
  prepareQuantize(rule: number, cols: number, low: number, high: number, nan: number, codeBias: number): void;
  quantizeByColumn(
    bytes: number,
    rule: number,
    src: number,
    dst: number,
    rows: number,
    cols: number,
    high: number,
    codeBias: number,
  ): void;
  fakeQuantizeByRow(
    rule: number,
    src: number,
    dst: number,
    mask: number,
    rows: number,
    cols: number,
    first: number,
    params: number,
    low: number,
    high: number,
    nan: number,
  ): void;
  prepareFakeQuantize(rule: number, cols: number, low: number, high: number, nan: number): void;
  fakeQuantizeByColumn(
    rule: number,
    src: number,
    dst: number,
    mask: number,
    rows: number,
    cols: number,
  ): void;
  dequantizeByRow(
    type: number,
    src: number,
    dst: number,
    rows: number,
    cols: number,
    first: number,
    params: number,
  ): void;
  dequantizeByColumn(type: number, src: number, dst: number, rows: number, cols: number): void;
  extremes(src: number, count: number): void;
  extremesByRow(src: number, rows: number, cols: number, first: number, params: number): void;
  extremesByColumn(src: number, rows: number, cols: number): void;
  histogram(src: number, count: number, low: number, high: number, bins: number): void;
  quantizeBlocks(
    bits: number,
    halfAway: number,
    src: number,
    rows: number,
    cols: number,
    blockSize: number,
    rule: number,
    codes: number,
    scales: number,
    zeroPoints: number,
  ): void;
  quantizeBlocksByColumn(
    bits: number,
    halfAway: number,
    src: number,
    stride: number,
    rows: number,
    cols: number,
    blockSize: number,
    rule: number,
    codes: number,
    scales: number,
    zeroPoints: number,
  ): void;
  dequantizeBlocks(
    bits: number,
    codes: number,
    scales: number,
    zeroPoints: number,
    rows: number,
    cols: number,
    blockSize: number,
    dst: number,
  ): void;
  quantizeByThresholds(src: number, blocks: number, blockSize: number, codes: number, absmax: number): void;
  float32ToFloat16(src: number, dst: number, count: number, least: number, greatest: number): void;
  countMagnitudes(src: number, count: number, least: number, greatest: number): void;
  float16ToFloat32(src: number, dst: number, count: number): void;
}

/** Addresses and limits that assembly/memory.ts defines. */
const ADDRESSES = [
  'MAX_PARAMS',
  'MAX_ELEMENTS',
  'MAX_BINS',
  'EXTREMES',
  'SCALES',
  'ZERO_POINTS',
  'THRESHOLDS',
  'CODE_OF',
  'MINS',
  'MAXS',
  'COUNTS',
  'INPUT',
  'OUTPUT',
  'OUTPUT_2',
  'OUTPUT_3',
  'RESERVED',
] as const;

export type Addresses = Readonly<Record<(typeof ADDRESSES)[number], number>>;

/** Arrays that the kernels read and write. */
export type KernelArray = Float32Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array;

/** An instance and views on the whole of its memory. */
export interface Machine {
  readonly run: Functions;
  readonly at: Addresses;
  readonly buffer: ArrayBuffer;
  readonly float32: Float32Array;
  readonly int8: Int8Array;
  readonly uint8: Uint8Array;
  readonly int16: Int16Array;
  readonly uint16: Uint16Array;
  readonly int32: Int32Array;
  readonly uint32: Uint32Array;
}

const PAGE = 65536;
/** Pages of the staging instance: what assembly/memory.ts reserves. */
const STAGING_PAGES = 8;
/** One less than there are, so that the address behind the last byte does not wrap to 0. */
const MAX_PAGES = 65535;

let compiled: WebAssembly.Module | undefined;
let staging: Machine | undefined;
const owners = new WeakMap<ArrayBufferLike, Machine>();

/** Compiles now, once. Throws WebAssembly.CompileError without SIMD, RangeError where a browser wants it asynchronous. */
export function compile(): void {
  compiled ??= new WebAssembly.Module(decodeBase64(WASM_BASE64));
}

/** The same for browsers that refuse to compile synchronously on their main thread. */
export async function compileAsync(): Promise<void> {
  compiled ??= await WebAssembly.compile(decodeBase64(WASM_BASE64));
}

/** An instance with room for `bytes` bytes behind what the kernels reserve. */
export function createMachine(bytes: number): Machine {
  compile();
  const pages = STAGING_PAGES + Math.ceil(bytes / PAGE);
  if (pages > MAX_PAGES)
    throw new RangeError(`createArena: expected at most ${maxArenaBytes()} bytes, got ${bytes}`);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  // compile() has set it, or thrown.
  const { exports } = new WebAssembly.Instance(compiled as WebAssembly.Module, { env: { memory } });
  const { buffer } = memory;
  const machine: Machine = {
    // The module is compiled from assembly/index.ts, which exports these functions and globals.
    run: exports as unknown as Functions,
    at: Object.fromEntries(
      ADDRESSES.map((name) => [name, (exports[name] as WebAssembly.Global).value]),
    ) as Addresses,
    buffer,
    float32: new Float32Array(buffer),
    int8: new Int8Array(buffer),
    uint8: new Uint8Array(buffer),
    int16: new Int16Array(buffer),
    uint16: new Uint16Array(buffer),
    int32: new Int32Array(buffer),
    uint32: new Uint32Array(buffer),
  };
  owners.set(buffer, machine);
  return machine;
}

/** Bytes that the largest arena can hold: 4 GiB of addresses less what the kernels reserve. */
export function maxArenaBytes(): number {
  return (MAX_PAGES - STAGING_PAGES) * PAGE;
}

/** The instance whose memory holds one of the arrays, else the one for staging. */
export function machineFor(x: ArrayBufferView, out: ArrayBufferView = x): Machine {
  return owners.get(x.buffer) ?? owners.get(out.buffer) ?? (staging ??= createMachine(0));
}
