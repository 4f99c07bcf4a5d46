/**
 * Which inputs and outputs of a node share a floating-point type, by the operator's schema. What the schema allows and no
 * runtime does, or cannot say, is in {@link OVERRIDES}.
 */
import type { Node } from '../../graph/node.ts';
import { OP_TYPES } from './op-types.generated.ts';

/** Types that can take the place of float32. */
export type HalfDType = 'float16' | 'bfloat16';

/** TensorProto.DataType numbers (onnx.proto), and the bit of `allowed` in the table. */
export const HALF_TYPES = {
  float16: { code: 10, bit: 1 },
  bfloat16: { code: 16, bit: 2 },
} as const satisfies Record<HalfDType, { readonly code: number; readonly bit: number }>;

/** TensorProto.DataType of float32. */
export const FLOAT = 1;

/**
 * Parameters of an operator. A capital letter is a type variable that can be float32; `f` is always float32, `s` a sequence
 * that can hold float32, `-` neither.
 */
export class Signature {
  readonly #inputs: string;
  readonly #outputs: string;
  readonly #allowed: string;

  /** `text` as the lines of op-types.generated.ts are. */
  constructor(text: string) {
    const [parameters, allowed] = text.split('|');
    [this.#inputs, this.#outputs] = parameters.split('>');
    this.#allowed = allowed;
  }

  input(index: number): string {
    return parameter(this.#inputs, index);
  }

  output(index: number): string {
    return parameter(this.#outputs, index);
  }

  /** True if a letter can be `dtype`. */
  allows(letter: string, dtype: HalfDType): boolean {
    const digit = Number(this.#allowed[letter.charCodeAt(0) - 'A'.charCodeAt(0)] ?? 0);
    return (digit & HALF_TYPES[dtype].bit) !== 0;
  }

  /** True if the letter stands at one input and nowhere else: nothing depends on its type. */
  isFree(letter: string): boolean {
    return this.#inputs.split(letter).length === 2 && !this.#inputs.endsWith('*') && !this.givesType(letter);
  }

  /** True if an output has this letter. */
  givesType(letter: string): boolean {
    return this.#outputs.includes(letter);
  }

  /** True if an input has this letter. */
  takesType(letter: string): boolean {
    return this.#inputs.includes(letter);
  }

  get hasSequences(): boolean {
    return this.#inputs.includes('s') || this.#outputs.includes('s');
  }
}

function parameter(parameters: string, index: number): string {
  if (parameters.endsWith('*')) return parameters[Math.min(index, parameters.length - 2)];
  return parameters[index] ?? '-';
}

/**
 * Rows that take the place of the schema's, with the version that they begin with.
 * - Resize: regions of interest are coordinates, and stay float32 beside the scales.
 * - DequantizeLinear-23: without output_dtype the output has the type of the scale.
 * - OptionalGetElement: of a tensor it gives that tensor.
 * - RMSNormalization: onnx infers the type of X for the output, onnxruntime multiplies both.
 */
const OVERRIDES: readonly (readonly [op: string, since: number, signature: string])[] = [
  ['Resize', 11, 'Aff->A|1'],
  ['Resize', 13, 'Aff->A|3'],
  ['DequantizeLinear', 23, '-A->A|3'],
  ['OptionalGetElement', 18, 'A>A|1'],
  ['RMSNormalization', 23, 'AA>A|3'],
];

type Versions = { readonly since: number; readonly signature: Signature }[];

let table: ReadonlyMap<string, Versions> | undefined;

/** Parsed at the first use. */
function signatures(): ReadonlyMap<string, Versions> {
  if (table !== undefined) return table;
  const rows = new Map<string, Versions>();
  const add = (op: string, since: number, signature: Signature): void => {
    const others = (rows.get(op) ?? []).filter((row) => row.since !== since);
    rows.set(op, [...others, { since, signature }]);
  };
  for (const [text, ops] of Object.entries(OP_TYPES)) {
    const signature = new Signature(text);
    for (const op of ops.split(' ')) {
      const [name, since] = op.split(':');
      add(name, Number(since), signature);
    }
  }
  for (const [op, since, text] of OVERRIDES) add(op, since, new Signature(text));
  for (const versions of rows.values()) versions.sort((a, b) => b.since - a.since);
  table = rows;
  return rows;
}

/**
 * The signature of a node's operator in a version of its operator set; undefined for operators without a known schema, and
 * for a DequantizeLinear that says the type of its output in an attribute: no runtime mixes types there.
 */
export function signatureOf(node: Node, version: number): Signature | undefined {
  if (node.is('DequantizeLinear') && node.attributes.has('output_dtype')) return undefined;
  return signatures()
    .get(node.qualifiedOp)
    ?.find(({ since }) => since <= version)?.signature;
}
