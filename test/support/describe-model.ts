/** The facts that scripts/fixtures/ort_ops.py reads off a model that is quantized in QDQ form. */
import { createHash } from 'node:crypto';
import type { Model, TensorSource, Value } from 'zeropoint/onnx';

export interface Described {
  /** Scale and zero point by value. */
  readonly activations: Readonly<Record<string, readonly [number, number]>>;
  /** Digests of the integers and of the scales, by constant. */
  readonly constants: Readonly<Record<string, readonly [string, string]>>;
}

async function digest(source: TensorSource | undefined): Promise<string> {
  if (source === undefined) return 'not stored';
  const { data } = await source.load();
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
}

async function number(value: Value | undefined): Promise<number> {
  return Number((await value?.constant?.load())?.data[0]);
}

/** Names must be those of onnxruntime's quantizer: `names: 'onnxruntime'`. */
export async function describeModel(model: Model): Promise<Described> {
  const activations: Record<string, [number, number]> = {};
  const constants: Record<string, [string, string]> = {};
  for (const { opType, inputs, outputs } of model.graph.nodes) {
    const [first, scale, zeroPoint] = inputs;
    if (opType === 'QuantizeLinear') {
      // Behind the pair a graph output has the name that the value had before.
      const [dequantized] = [...(outputs[0]?.consumers ?? [])].map((node) => node.outputs[0]);
      const name = dequantized?.isOutput ? dequantized.name : (first?.name ?? '');
      activations[name] = [await number(scale), await number(zeroPoint)];
    } else if (opType === 'DequantizeLinear' && first?.constant !== undefined) {
      constants[first.name.replace(/_quantized$/, '')] = [
        await digest(first.constant),
        await digest(scale?.constant),
      ];
    }
  }
  return { activations, constants };
}
