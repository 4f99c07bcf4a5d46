/** Words that every layer above shares. */
import type { TensorLike } from '../tensor/tensor.ts';

/** PyTorch's quantization schemes. The symmetric ones exist only in observers; a quantized tensor is affine. */
export type QScheme =
  | 'per_tensor_affine'
  | 'per_tensor_symmetric'
  | 'per_channel_affine'
  | 'per_channel_symmetric'
  | 'per_channel_affine_float_qparams';

/** Schemes that a quantized tensor can have: every one is affine, symmetric meaning no more than zero point 0. */
export type TensorQScheme =
  | 'per_tensor_affine'
  | 'per_channel_affine'
  | 'per_channel_affine_float_qparams'
  | 'per_block_affine'
  | 'per_block_affine_float_qparams';

/** Scales or zero points as a caller has them: one number, an array, a typed array, or a tensor. */
export type ParamValues = number | ArrayLike<number> | ArrayLike<bigint> | TensorLike;

/**
 * Which arithmetic (DESIGN.md, "Numerics"):
 * - `default`: PyTorch's documented formula, clamp(roundHalfEven(x · (1/scale)) + zeroPoint).
 * - `torch-2.13`: what that release's ops really give, oddities included.
 * - `onnx`: clamp(roundHalfEven(x / scale) + zeroPoint), QuantizeLinear's.
 */
export type Numerics = 'default' | 'torch-2.13' | 'onnx';

/** Which elements share a scale and a zero point. `axis` may be negative. */
export type Granularity =
  | { readonly kind: 'per_tensor' }
  | { readonly kind: 'per_channel'; readonly axis: number }
  /** Groups of `blockSize` consecutive elements along `axis`; a shorter last group is allowed. */
  | { readonly kind: 'per_block'; readonly axis: number; readonly blockSize: number };

/** What an observer gives: one scale and zero point a tensor (length 1), a channel, or a block. */
export interface QParams {
  readonly scale: Float32Array;
  /** Integers; float32 for `per_channel_affine_float_qparams` only. */
  readonly zeroPoint: Int32Array | Float32Array;
}

/** Anything that can stand for a float tensor: ours, or `{data, dims}` such as an onnxruntime tensor. */
export type { TensorLike } from '../tensor/tensor.ts';
