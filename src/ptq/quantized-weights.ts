/**
 * Constants as integers. The observer of the QConfig looks at one and gives its scales, at once, since other parts of the
 * model depend on them; beyond a budget the integers are computed when the model is written (derived-constants.ts), from the
 * constant read once more. Memory then holds one weight, not all of them.
 */
import type { TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { constantOf } from '../passes/access.ts';
import { quantizePerChannel, quantizePerTensor } from '../quant/index.ts';
import type { QParams } from '../quant/types.ts';
import { toFloat32 } from '../tensor/cast.ts';
import type { TensorData } from '../tensor/dtype.ts';
import { Tensor, tensor } from '../tensor/tensor.ts';
import { enlargeScales, loadFiniteOperand, loadWeight, type BiasFit } from './constants.ts';
import { DerivedConstants } from './derived-constants.ts';
import type { CodeDType } from './emit.ts';
import { codeDType, isPerChannel, makeObserver } from './observer-spec.ts';
import type { ObserverSpec } from './plan.ts';

/** Scales and zero points of a constant. */
export interface WeightGrid {
  /** [channels] where `axis` is the axis of channels, else []. */
  readonly scales: Tensor;
  readonly zeroPoints: Tensor;
  readonly axis: number | undefined;
  /** The scales as numbers, one or one a channel. */
  readonly scaleData: Float32Array;
  readonly dtype: CodeDType;
}

export interface QuantizedWeightData extends WeightGrid {
  readonly codes: TensorSource;
}

/** Another order, shape or dtype of what is stored; the same object for all weights of its kind. */
export interface Arrangement {
  /** Shape of the stored codes, from the constant's. */
  readonly shape: (shape: readonly number[]) => readonly number[];
  /** Their elements, from the codes in the order of the constant. */
  readonly codes: (codes: Tensor, shape: readonly number[]) => TensorData;
  readonly grid?: (grid: WeightGrid, shape: readonly number[]) => WeightGrid;
}

export interface WeightRequest {
  readonly spec: ObserverSpec;
  /** The channel axis, used where the observer works by channel. */
  readonly axis: number | undefined;
  /** A bias that is to fit. */
  readonly fit?: BiasFit | undefined;
  /** Same elements in another shape, to have channels along one axis. */
  readonly shape?: readonly number[];
  readonly arrange?: Arrangement;
}

const AS_IT_LIES: Arrangement = { shape: (shape) => shape, codes: ({ data }) => data };

export class QuantizedWeights {
  readonly #derived: DerivedConstants;

  /** `budget`: bytes of integers that stay in memory. Default as of DerivedConstants. */
  constructor(budget?: number) {
    this.#derived = new DerivedConstants(budget);
  }

  /** A weight as integers. @throws GraphError GRAPH_INVALID, naming it and a reader, if it holds NaN or an infinity */
  async weight(value: Value, request: WeightRequest): Promise<QuantizedWeightData> {
    return this.#quantize(value, await loadWeight(value), request);
  }

  /**
   * A constant operand of an Add, a Mul and the like as integers. Infinities saturate, as those of an activation: masks
   * are made of them.
   *
   * @throws GraphError GRAPH_INVALID, naming it and a reader, if it holds NaN or nothing finite
   */
  async operand(value: Value, spec: ObserverSpec): Promise<QuantizedWeightData> {
    return this.#quantize(value, await loadFiniteOperand(value), { spec, axis: undefined });
  }

  async #quantize(
    value: Value,
    loaded: Tensor<'float32'>,
    { spec, axis, fit, shape = loaded.shape, arrange = AS_IT_LIES }: WeightRequest,
  ): Promise<QuantizedWeightData> {
    const observer = makeObserver(spec, { name: value.name, chAxis: axis });
    observer.observe(reshaped(loaded, shape));
    const qparams = fitted(observer.calculateQParams(), fit);
    const channelAxis = isPerChannel(observer) ? axis : undefined;
    const grid = gridOf(qparams, codeDType(spec), channelAxis);
    const stored = arrange.grid?.(grid, loaded.shape) ?? grid;
    // The constant itself: the value may have left the graph when the codes are asked for.
    const source = constantOf(value);
    let held: Tensor<'float32'> | undefined = loaded;
    const compute = async (): Promise<{ readonly codes: TensorData }> => {
      const weight = held ?? toFloat32(await source.load());
      const codes = quantize(reshaped(weight, shape), qparams, grid);
      return { codes: arrange.codes(codes, weight.shape) };
    };
    const layout = { dtype: stored.dtype, shape: arrange.shape(loaded.shape) };
    const { codes } = await this.#derived.add({ codes: layout }, compute);
    held = undefined;
    return { ...stored, codes };
  }
}

function reshaped(weight: Tensor<'float32'>, shape: readonly number[]): Tensor<'float32'> {
  return shape === weight.shape ? weight : new Tensor('float32', shape, weight.data);
}

function fitted(qparams: QParams, fit: BiasFit | undefined): QParams {
  if (fit === undefined || qparams.zeroPoint.some((zeroPoint) => zeroPoint !== 0)) return qparams;
  return { ...qparams, scale: enlargeScales(qparams.scale, fit) };
}

function gridOf({ scale, zeroPoint }: QParams, dtype: CodeDType, axis: number | undefined): WeightGrid {
  const shape = axis === undefined ? [] : [scale.length];
  return {
    scales: new Tensor('float32', shape, scale),
    zeroPoints: tensor([...zeroPoint], shape, dtype),
    axis,
    scaleData: scale,
    dtype,
  };
}

function quantize(weight: Tensor, { scale, zeroPoint }: QParams, { dtype, axis }: WeightGrid): Tensor {
  const options = { numerics: 'onnx' } as const;
  const quantized =
    axis === undefined
      ? quantizePerTensor(weight, scale[0], zeroPoint[0], dtype, options)
      : quantizePerChannel(weight, scale, zeroPoint, axis, dtype, options);
  return new Tensor(dtype, weight.shape, quantized.intRepr().data);
}
