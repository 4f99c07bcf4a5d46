/**
 * Operators that say the type of their output in an attribute, not by their inputs: how to read it, and how to change it.
 * One row an operator.
 */
import type { Node } from '../../graph/node.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { FLOAT, HALF_TYPES, type HalfDType } from './signatures.ts';

/** What is known of a value: float32, the type that float32 becomes, a sequence of float32, or none of these. */
export type Kind = 'float32' | 'half' | 'list' | 'other';

/** Makes a constant of the narrow type from a float32 one; counts what it does. */
export type Narrow = (source: TensorSource) => Promise<TensorSource>;

export interface OutputType {
  /** True if the output is usually of the input's type; onnxruntime mixes them in no kernel. */
  readonly followsInput: boolean;
  /** undefined: the file does not say it here (an attribute of a function's caller). `input` is the first input's kind. */
  read(node: Node, dtype: HalfDType, input: Kind | undefined): Kind | undefined;
  /** Makes the output `dtype` (undefined: says that it is float32). */
  write(node: Node, dtype: HalfDType | undefined, narrow: Narrow): Promise<void> | void;
}

/** An attribute with a TensorProto.DataType number. Absent: float32, or the type of the first input. */
const typeAttribute = (name: string, fallback: 'float32' | 'input' = 'float32'): OutputType => ({
  followsInput: fallback === 'input',
  read(node, dtype, input) {
    const attribute = node.attributes.get(name);
    if (attribute === undefined) return fallback === 'input' ? input : fallback;
    return attribute.kind === 'int' ? kindOfCode(Number(attribute.value), dtype) : undefined;
  },
  write(node, dtype) {
    if (dtype !== undefined) node.setAttribute(name, HALF_TYPES[dtype].code);
    else if (fallback === 'input' || node.attributes.has(name)) node.setAttribute(name, FLOAT);
  },
});

function kindOfCode(code: number, dtype: HalfDType): Kind {
  if (code === FLOAT) return 'float32';
  return code === HALF_TYPES[dtype].code ? 'half' : 'other';
}

/** Kind of a constant. */
export function kindOfType(elementType: string, dtype: HalfDType): Kind {
  if (elementType === 'float32') return 'float32';
  return elementType === dtype ? 'half' : 'other';
}

/** Forms of Constant that are float32 without a tensor; other forms without one are integers and strings. */
const FLOAT_FORMS = ['value_float', 'value_floats'] as const;

const constant: OutputType = {
  followsInput: false,
  read(node, dtype) {
    const value = node.attributes.get('value');
    if (value?.kind === 'tensor') return kindOfType(value.value.elementType, dtype);
    const sparse = node.attributes.get('sparse_value');
    if (sparse?.kind === 'sparse_tensor') return kindOfType(sparse.value.values.elementType, dtype);
    if (value !== undefined || sparse !== undefined) return undefined;
    return FLOAT_FORMS.some((name) => node.attributes.has(name)) ? 'float32' : 'other';
  },
  async write(node, dtype, narrow) {
    const sparse = node.attributes.get('sparse_value');
    if (dtype === undefined) return;
    if (sparse?.kind === 'sparse_tensor') {
      const values = await narrow(sparse.value.values);
      node.setAttribute('sparse_value', { kind: 'sparse_tensor', value: { ...sparse.value, values } });
      return;
    }
    const source = node.outputs[0]?.constant;
    if (source === undefined) return;
    const value = await narrow(source);
    for (const name of FLOAT_FORMS) node.deleteAttribute(name);
    node.setAttribute('value', { kind: 'tensor', value });
  },
};

const filled: OutputType = {
  followsInput: false,
  read(node, dtype) {
    const value = node.attributes.get('value');
    if (value === undefined) return 'float32';
    return value.kind === 'tensor' ? kindOfType(value.value.elementType, dtype) : undefined;
  },
  async write(node, dtype, narrow) {
    if (dtype === undefined) return;
    const value = node.attributes.get('value');
    if (value?.kind === 'tensor') {
      node.setAttribute('value', { kind: 'tensor', value: await narrow(value.value) });
    } else {
      // The default is one zero of float32; zero has the same bits in both types.
      node.setAttribute('value', new Tensor(dtype, [1], new Uint16Array(1)));
    }
  },
};

const OUTPUT_TYPES: Readonly<Record<string, OutputType>> = {
  Cast: typeAttribute('to'),
  Constant: constant,
  ConstantOfShape: filled,
  RandomNormal: typeAttribute('dtype'),
  RandomUniform: typeAttribute('dtype'),
  RandomNormalLike: typeAttribute('dtype', 'input'),
  RandomUniformLike: typeAttribute('dtype', 'input'),
  Bernoulli: typeAttribute('dtype', 'input'),
  EyeLike: typeAttribute('dtype', 'input'),
  BlackmanWindow: typeAttribute('output_datatype'),
  HammingWindow: typeAttribute('output_datatype'),
  HannWindow: typeAttribute('output_datatype'),
  MelWeightMatrix: typeAttribute('output_datatype'),
};

/** How a node's operator says the type of its output; undefined if its inputs do. */
export function outputTypeOf(node: Node): OutputType | undefined {
  return node.domain === '' && Object.hasOwn(OUTPUT_TYPES, node.opType)
    ? OUTPUT_TYPES[node.opType]
    : undefined;
}
