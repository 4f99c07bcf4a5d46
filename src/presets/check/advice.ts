/** What to do about a node that does not run where it is meant to. */
import { OLDEST_KNOWN } from '../backends/tables.ts';
import type { CheckTarget, Found, ProbedBackend, Support } from '../backends/table.ts';
import { UNTOLD } from '../backends/signature.ts';

/** A node's facts, and where they were looked up. */
export interface Site {
  readonly op: string;
  /** undefined for operators of other domains, whose versions are their own. */
  readonly opset: number | undefined;
  readonly found: Found;
  readonly target: CheckTarget;
  readonly backend: ProbedBackend;
}

/** Integer arithmetic on activations. */
const INTEGER_ARITHMETIC =
  /^(DynamicQuantizeLinear|QuantizeLinear|MatMulInteger|ConvInteger|(com\.microsoft\.)?(QLinear.+|QGemm|QAttention|QEmbed.+|DynamicQuantize.+|MatMulIntegerToFloat))$/;

/** Types of shapes, indices and conditions. */
const SHAPE_TYPES = /^(u?int64|u?int32|bool)(\/|$)/;

const ADVICE: Readonly<Record<Exclude<Support, 'runs'>, (site: Site) => string>> = {
  missing: ({ opset, found: { signature }, backend: { newestOpset, runtime } }) => {
    if (opset !== undefined && opset > newestOpset)
      return `${runtime} loads opset ${newestOpset} at most: export with that one`;
    if (signature.includes('bfloat16')) return 'it has no bfloat16 kernel: use float16 or float32';
    if (signature.includes('float64')) return 'it has no float64 kernel: export in float32';
    return `${runtime} has no kernel for it: export without it, or choose another target`;
  },
  'wrong numbers': () => 'its numbers are not those of the CPU: choose another target, or look with --run',
  'falls back': ({ op, found: { signature } }) => {
    if (INTEGER_ARITHMETIC.test(op)) {
      return 'WebGPU has no integer arithmetic: quantize weights alone (zeropoint quantize --weights 4), or use float16';
    }
    if (SHAPE_TYPES.test(signature)) {
      return 'shapes and indices are computed on the CPU; that costs little unless values of the GPU feed them';
    }
    return 'its inputs go to the CPU and its outputs back, at each run';
  },
  'needs shader-f16': () =>
    'needs a GPU with 16-bit arithmetic (shader-f16), and was not run by the probe; offer a float32 or q4 file to others',
  unknown: ({ opset, found: { version, signature } }) => {
    if (opset !== undefined && opset < OLDEST_KNOWN)
      return `opsets before ${OLDEST_KNOWN} were not probed: look with --run`;
    if (version === undefined) return 'this operator was not probed: look with --run';
    if (signature.includes(UNTOLD)) return 'the file does not tell the type: look with --run';
    return 'this type was not probed: look with --run';
  },
};

export function adviceFor(support: Exclude<Support, 'runs'>, site: Site): string {
  return ADVICE[support](site);
}
