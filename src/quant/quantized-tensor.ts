/**
 * Integer codes with the scales and zero points that give them meaning: value = (code - zeroPoint) · scale.
 * Codes lie as torch's `int_repr()` has them: one an element, packed below 8 bits (tensor/pack.ts).
 */
import { kernels } from '../kernels/backend.ts';
import type { CodeArray } from '../kernels/types.ts';
import {
  codeRange,
  dtypeInfo,
  isSigned,
  type DType,
  type QuantDType,
  type TensorDataOf,
} from '../tensor/dtype.ts';
import type { PrintOptions } from '../tensor/format.ts';
import { unpackBits, type PackedBits } from '../tensor/pack.ts';
import { checkShape, elementCount, normalizeAxis } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { formatQuantizedTensor, quantizedHtml } from './format.ts';
import { gridOfPiece } from './grid.ts';
import { pieceOf, planLayout } from './layout.ts';
import { outArray, type Out } from './out.ts';
import type { Granularity, TensorQScheme } from './types.ts';

/** Parts of a quantized tensor. The tensor takes the arrays over, it does not copy them. */
export interface QuantizedTensorInit<D extends QuantDType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Codes in row-major order, packed below 8 bits. */
  readonly codes: TensorDataOf<D>;
  readonly granularity: Granularity;
  readonly scales: Float32Array | Float64Array;
  readonly zeroPoints: Int32Array | Float32Array;
  /** The scale of a per-tensor scheme in double, for printing; `scales[0]` without it. */
  readonly scale?: number;
}

/** Options of `dequantize`. */
export interface DequantizeOptions {
  /** Where the values go. */
  readonly out?: Out<'float32'>;
}

/** Dtype that torch's `int_repr()` gives; packed dtypes of torch become flat bytes. */
const INT_REPR: Readonly<Record<QuantDType, DType>> = {
  qint8: 'int8',
  quint8: 'uint8',
  qint32: 'int32',
  quint4x2: 'uint8',
  quint2x4: 'uint8',
  int2: 'int2',
  uint2: 'uint2',
  int4: 'int4',
  uint4: 'uint4',
  int8: 'int8',
  uint8: 'uint8',
  int16: 'int16',
  uint16: 'uint16',
  int32: 'int32',
};

const INSPECT = Symbol.for('nodejs.util.inspect.custom');
const JUPYTER = Symbol.for('Jupyter.display');

/** An integer tensor with its scales and zero points; made by the quantize functions and `quantizedTensorFromCodes`. */
export class QuantizedTensor<D extends QuantDType = QuantDType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Codes in row-major order, packed below 8 bits; the tensor's own storage. */
  readonly codes: TensorDataOf<D>;
  /** Which elements share a scale; axes counted from the front. */
  readonly granularity: Granularity;
  /** One a parameter: 1, the channels, or the blocks in row-major order. Float64Array where they were given so. */
  readonly scales: Float32Array | Float64Array;
  /** One a parameter. Float32Array in the `*_float_qparams` schemes only. */
  readonly zeroPoints: Int32Array | Float32Array;
  readonly #scale: number;

  /** Wraps parts without a copy. Throws TypeError or RangeError if they contradict each other. */
  constructor(init: QuantizedTensorInit<D>) {
    checkShape(init.shape, 'QuantizedTensor');
    codeRange(init.dtype);
    this.dtype = init.dtype;
    this.shape = Object.freeze([...init.shape]);
    this.codes = outArray<D>(init.codes, init.dtype, elementCount(init.shape), 'QuantizedTensor');
    this.granularity = frontAxis(init.granularity, init.shape.length);
    this.scales = init.scales;
    this.zeroPoints = init.zeroPoints;
    this.#scale = init.scale ?? init.scales[0];
    const { params } = planLayout(this.shape, this.granularity, 'QuantizedTensor');
    if (this.scales.length !== params || this.zeroPoints.length !== params) {
      throw new RangeError(
        `QuantizedTensor: expected ${params} scales and zero points, got ${this.scales.length} and ${this.zeroPoints.length}`,
      );
    }
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  get qscheme(): TensorQScheme {
    const { kind } = this.granularity;
    if (kind === 'per_tensor') return 'per_tensor_affine';
    return this.zeroPoints instanceof Float32Array ? `${kind}_affine_float_qparams` : `${kind}_affine`;
  }

  /** The scale of a per-tensor scheme, as given (in double). Throws TypeError for the other schemes. */
  get scale(): number {
    this.#checkPerTensor('scale');
    return this.#scale;
  }

  /** The zero point of a per-tensor scheme. Throws TypeError for the other schemes. */
  get zeroPoint(): number {
    this.#checkPerTensor('zeroPoint');
    return this.zeroPoints[0];
  }

  /** The axis of channels or blocks, counted from the front; undefined per tensor. */
  get axis(): number | undefined {
    return this.granularity.kind === 'per_tensor' ? undefined : this.granularity.axis;
  }

  /** Elements along the axis that share a scale; undefined unless per block. */
  get blockSize(): number | undefined {
    return this.granularity.kind === 'per_block' ? this.granularity.blockSize : undefined;
  }

  /**
   * The codes as a plain integer tensor that shares their memory, as torch's `int_repr()`: int8 for qint8; the packed
   * bytes (uint8, one axis) for quint4x2 and quint2x4.
   */
  intRepr(): Tensor {
    const dtype = INT_REPR[this.dtype];
    const flat = dtypeInfo(dtype).bits !== dtypeInfo(this.dtype).bits;
    return new Tensor(dtype, flat ? [this.codes.length] : this.shape, this.codes);
  }

  /** One code an element: the tensor's own storage from 8 bits up, a new array below. */
  unpackedCodes(): CodeArray {
    const { bits } = dtypeInfo(this.dtype);
    // Every storage of a QuantDType that is not packed is a CodeArray.
    if (bits >= 8) return this.codes as CodeArray;
    return unpackBits(this.codes as Uint8Array, bits as PackedBits, this.size, isSigned(this.dtype));
  }

  /**
   * f32(f32(code - zeroPoint) · scale), with float64 scales f32(f64(code - zeroPoint) · scale), whatever the numerics.
   * code = zeroPoint gives 0, empty gives empty, and NaN occurs only with scales that are not finite (`torch-2.13`).
   * torch: `dequantize`.
   */
  dequantize(options: DequantizeOptions = {}): Tensor<'float32'> {
    const out = outArray(options.out, 'float32', this.size, 'dequantize');
    const codes = this.unpackedCodes();
    const [quantMin, quantMax] = codeRange(this.dtype);
    const grid = { scales: this.scales, zeroPoints: this.zeroPoints, quantMin, quantMax };
    for (const piece of planLayout(this.shape, this.granularity, 'dequantize').pieces) {
      const part = gridOfPiece(grid, piece);
      kernels().dequantize(pieceOf(codes, piece), pieceOf(out, piece), part, piece.layout);
    }
    return new Tensor('float32', this.shape, out);
  }

  /** True for the same dtype, shape, scheme, scales, zero points and codes; torch: `torch.equal`. */
  equals(other: QuantizedTensor): boolean {
    return (
      this.dtype === other.dtype &&
      this.qscheme === other.qscheme &&
      this.axis === other.axis &&
      this.blockSize === other.blockSize &&
      this.#scale === other.#scale &&
      sameNumbers(this.shape, other.shape) &&
      sameNumbers(this.scales, other.scales) &&
      sameNumbers(this.zeroPoints, other.zeroPoints) &&
      sameNumbers(this.unpackedCodes(), other.unpackedCodes())
    );
  }

  /** As `print(torch_tensor)` writes it: dequantized values, then size, dtype, scheme and parameters. */
  toString(options?: PrintOptions): string {
    return formatQuantizedTensor(this, options);
  }

  [INSPECT](): string {
    return this.toString();
  }

  /** Shown as a table by notebook kernels. */
  [JUPYTER](): Record<string, string> {
    return { 'text/plain': this.toString(), 'text/html': quantizedHtml(this) };
  }

  #checkPerTensor(property: string): void {
    if (this.granularity.kind === 'per_tensor') return;
    throw new TypeError(
      `QuantizedTensor.${property}: expected a per_tensor scheme, got ${this.qscheme}; use ${property}s`,
    );
  }
}

function frontAxis(granularity: Granularity, rank: number): Granularity {
  if (granularity.kind === 'per_tensor') return { kind: 'per_tensor' };
  return { ...granularity, axis: normalizeAxis(granularity.axis, rank, 'QuantizedTensor') };
}

function sameNumbers(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
