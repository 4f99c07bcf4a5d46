/**
 * What a kernel backend must do. `reference.ts` is the normative one; any other equals it bit for bit.
 * Kernels work on flat typed arrays and know nothing of tensors, axes or dtypes' names: the quant layer
 * turns a shape and a granularity into a {@link Layout} and a dtype into a code range.
 */

/** Arrays that hold one code an element. */
export type CodeArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array;

/**
 * Where rounding meets division and the zero point (inv = f32(1 / scale), rne = round half to even):
 * - `multiply-round-add`: rne(f32(x·inv)) + zp. PyTorch's documented formula; the default.
 * - `divide-round-add`:   rne(f32(x / scale)) + zp. ONNX QuantizeLinear.
 * - `multiply-add-round`: rne(f32(f32(x·inv) + zp)). Float zero points; torch 2.13 per channel and qint32.
 * - `fused-add-round`:    rne(f32(x·inv + zp)), one rounding. torch 2.13 per tensor, 8 bit.
 */
export type Rounding = 'multiply-round-add' | 'divide-round-add' | 'multiply-add-round' | 'fused-add-round';

export interface CodeRule {
  readonly rounding: Rounding;
  /** The code of NaN: the zero point (clamped to the range), an end of the range, or 0 (clamped). */
  readonly nan: 'zero-point' | 'quant-min' | 'quant-max' | 'zero';
  /** Rounded values ≥ this become quantMin, as an integer conversion that overflows gives. Infinity: saturate. */
  readonly wrapAt: number;
}

/** Scales and zero points of a tensor, and the range its codes are clamped to. */
export interface Grid {
  /** One a parameter. Float64Array only where products are to be taken in float64 ({@link Kernels.dequantize}). */
  readonly scales: Float32Array | Float64Array;
  /** One a parameter; integers, or float32 for `per_channel_affine_float_qparams`. */
  readonly zeroPoints: Int32Array | Float32Array;
  readonly quantMin: number;
  readonly quantMax: number;
}

/**
 * How parameters lie over a flat array of rows·cols elements; element j of row r uses parameter
 * - `by-row`:    r mod params. Per tensor (1 row, 1 parameter), per channel with inner size `cols`, blocks along the last axis.
 * - `by-column`: (floor(r / period)·cols + j) mod params. Channels on the last axis (params = cols, any period), and
 *   blocks of `period` rows along an inner axis (params = blocks·cols).
 */
export interface Layout {
  readonly rows: number;
  readonly cols: number;
  readonly params: number;
  readonly pattern: 'by-row' | 'by-column';
  /** Rows that share a run of parameters; used by `by-column` only. */
  readonly period: number;
}

/** Result of a min/max pass. NaN anywhere gives NaN for both. */
export interface Extremes {
  readonly min: number;
  readonly max: number;
}

/** How a block of weights gets its scale and codes. Codes are stored unsigned, `2^(bits-1)` standing for 0 where symmetric. */
export interface BlockScheme {
  readonly bits: 4 | 8;
  /** Elements that share a scale; a multiple of 2. A short last block is padded with the code of 0. */
  readonly blockSize: number;
  /**
   * - `signed-extreme`: s = e / -2^(bits-1), e the value of greatest magnitude (the negative one of two equals), so s can be
   *   negative and e gets code 0. onnxruntime MatMulNBits, symmetric.
   * - `absmax`: s = max|w| / (2^(bits-1) - 1).
   * - `min-max`: s = (max(0,max) - min(0,min)) / (2^bits - 1), zero point = round(-min / s). MatMulNBits, asymmetric.
   * An all-zero block gets s = 0 and the code of 0; so small a scale that 1/s overflows float32 the code of 0, too.
   */
  readonly scale: 'signed-extreme' | 'absmax' | 'min-max';
  /** Half-even rounds before the zero point is added, half-away after it; formulas in `reference-weights.ts`. */
  readonly rounding: 'half-even' | 'half-away';
}

export interface BlockOutput {
  /** rows · blocks · blockSize·bits/8 bytes, element i of a block in ascending bit order. */
  readonly codes: Uint8Array;
  /** rows · blocks. */
  readonly scales: Float32Array;
  /** rows · blocks unpacked zero points; needed where `scale` is `min-max`. */
  readonly zeroPoints?: Uint8Array;
}

/** Where blocks lie in their output if they are part of longer rows: block b of row r is block r·pitch + first + b. */
export interface BlockPlace {
  readonly first: number;
  /** Blocks of a whole row. */
  readonly pitch: number;
}

/** How x in [-1, 1] becomes a code of 4 bits. */
export interface CodeTable {
  /** 15, ascending. */
  readonly thresholds: Float32Array;
  /** 16, by the number of thresholds below x. */
  readonly codeOf: Uint8Array;
}

export interface ThresholdOutput {
  /** ceil(weights / 2) bytes. */
  readonly codes: Uint8Array;
  /** A block each. */
  readonly absmax: Float32Array;
}

/** Magnitudes of finite values but 0, both float32: least ≥ 0, greatest ≤ Infinity. Inf, NaN and 0 are outside of no range. */
export interface MagnitudeRange {
  readonly least: number;
  readonly greatest: number;
}

export interface MagnitudeCounts {
  readonly below: number;
  readonly above: number;
  /** Of finite values; 0 if there is none. */
  readonly largest: number;
}

export interface Kernels {
  readonly name: 'reference' | 'wasm';
  /** out[i] = clamp(code of x[i] by `rule`, quantMin, quantMax). `out` has the length of `x` and other memory. */
  quantize(x: Float32Array, out: CodeArray, grid: Grid, layout: Layout, rule: CodeRule): void;
  /** out[i] = f32(f32(code - zp)·scale); with Float64Array scales f32(f64(code - zp)·scale). */
  dequantize(codes: CodeArray, out: Float32Array, grid: Grid, layout: Layout): void;
  /**
   * out[i] = what dequantize(quantize(x[i])) gives; `mask[i]` = 1 where the code was in range before clamping (0 for NaN).
   * `out` may be `x` itself.
   */
  fakeQuantize(
    x: Float32Array,
    out: Float32Array,
    grid: Grid,
    layout: Layout,
    rule: CodeRule,
    mask?: Uint8Array,
  ): void;
  /** Extremes of all of x; {Infinity, -Infinity} for an empty array. -0 and 0 may stand for each other. */
  minMax(x: Float32Array): Extremes;
  /**
   * Extremes a parameter of `layout`, into `min` and `max` (length `layout.params`), which are overwritten.
   * A parameter without elements gets Infinity, -Infinity; one with a NaN gets NaN, NaN.
   */
  minMaxByParam(x: Float32Array, layout: Layout, min: Float32Array, max: Float32Array): void;
  /**
   * Adds to counts[k] the number of x with k = trunc(f32(f32(f32(x - lo)·bins) / f32(hi - lo))), x = hi in the last bin;
   * values outside [lo, hi] and NaN are skipped. lo < hi, both float32, hi - lo a finite float32, at most 2^32 values.
   * `torch.histc`'s positions, integer counts.
   */
  histogram(x: Float32Array, lo: number, hi: number, counts: Float64Array): void;
}

/** What only files of models need, apart from {@link Kernels} so that pages that do not need it do not load it. */
export interface WeightKernels {
  readonly name: Kernels['name'];
  /** Quantizes rows of `cols` weights in blocks along the row. Weights must be finite: codes of others are unspecified. */
  quantizeBlocks(w: Float32Array, rows: number, cols: number, scheme: BlockScheme, out: BlockOutput): void;
  /** The same for weights that are stored by columns: `w[col·rows + row]`. Without `place` the rows have these blocks only. */
  quantizeBlocksByColumn(
    w: Float32Array,
    rows: number,
    cols: number,
    scheme: BlockScheme,
    out: BlockOutput,
    place?: BlockPlace,
  ): void;
  /** The inverse: rows·cols float32 values. Without zeroPoints the zero point is 2^(bits-1). */
  dequantizeBlocks(
    blocks: BlockOutput,
    rows: number,
    cols: number,
    scheme: BlockScheme,
    out: Float32Array,
  ): void;
  /**
   * Codes of 4 bits by 15 ascending thresholds: x = f32(w · f32(1 / absmax)) gets `codeOf[number of thresholds below x]`,
   * absmax the greatest magnitude of its block (0 and what 1 / absmax overflows for: x = 0). Blocks follow one another over all
   * of `w`, the last may be short; two codes a byte, the first in the high nibble. Weights must be finite.
   */
  quantizeByThresholds(w: Float32Array, blockSize: number, table: CodeTable, out: ThresholdOutput): void;
  /** float16 bits of each value, ties to even (`tensor/float16.ts`), its magnitude clamped to `range` before. */
  float32ToFloat16(x: Float32Array, out: Uint16Array, range?: MagnitudeRange): void;
  /** What lies outside of a range. */
  countMagnitudes(x: Float32Array, range: MagnitudeRange): MagnitudeCounts;
  /** Exact. */
  float16ToFloat32(bits: Uint16Array, out: Float32Array): void;
}
