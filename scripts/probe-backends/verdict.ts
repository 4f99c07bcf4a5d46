/** From what became of a case to a letter of the table. */
import type { Case } from './cases.ts';
import { NODE } from './cases.ts';
import type { Outcome, Output, Ran } from './outcome.ts';
import type { SupportLetter } from '../../src/presets/backends/table.ts';
import { elementValues } from '../../src/tensor/values.ts';

/** dB between the outputs of a backend and onnxruntime-node's for the same model. */
const EQUAL_ENOUGH = 30;
/** dB between the outputs in a narrow type and those in float32 from the same values before they were rounded. */
const HALF_ENOUGH: Readonly<Record<string, number>> = { float16: 25, bfloat16: 12 };

/** True for files that are not ONNX: an operator that does not take the type in that version. */
export function isInvalid(outcome: Outcome): boolean {
  return (
    'message' in outcome &&
    /Type Error|is invalid|invalid model|INVALID_GRAPH|No Op registered|No opset import/.test(outcome.message)
  );
}

/** True if the runtime says that it has no kernel, or does not load the opset. */
export function isMissing(outcome: Outcome): boolean {
  return 'message' in outcome && MISSING.test(outcome.message);
}

const MISSING =
  /Could not find an implementation|Failed to find kernel|ValidateOpsetForDomain|Provider type for \w+ node with name/;

/** True if what failed is a cast around the node in question. */
function isAboutOthers(message: string): boolean {
  return /with name '(?!probed)/.test(message) && !message.includes(`'${NODE}'`);
}

/** `twin`: the outcome of the same values in float32. */
export function nodeLetter(one: Case, outcome: Outcome, twin: Outcome | undefined): SupportLetter {
  if (outcome.stage !== 'ran') return failureLetter(outcome);
  const bound = HALF_ENOUGH[one.type];
  if (one.random || bound === undefined || twin?.stage !== 'ran') return 'r';
  return agree(twin, outcome, bound) ? 'r' : 'w';
}

/** `reference`: onnxruntime-node's outcome. */
export function webLetter(one: Case, outcome: Outcome, reference: Outcome): SupportLetter {
  if (outcome.stage === 'placed') return 'h';
  if (outcome.stage !== 'ran') return failureLetter(outcome);
  // Nothing to compare with: it runs, and what it gives is not known to be right.
  if (reference.stage !== 'ran') return '-';
  if (!one.random && !agree(reference, outcome, EQUAL_ENOUGH)) return 'w';
  return outcome.provider === 'CPUExecutionProvider' ? 'c' : 'r';
}

function failureLetter(outcome: Exclude<Outcome, Ran>): SupportLetter {
  if (isInvalid(outcome)) return '-';
  return 'message' in outcome && isAboutOthers(outcome.message) ? '-' : 'x';
}

function agree(reference: Ran, other: Ran, bound: number): boolean {
  return reference.outputs.every((output, i) => sqnr(output, other.outputs[i]) >= bound);
}

/** dB; equal values, and NaN in both, are no error. -Infinity for another shape. */
function sqnr(reference: Output, other: Output): number {
  if (reference.shape.join() !== other.shape.join()) return -Infinity;
  const r = elementValues(reference);
  const o = elementValues(other);
  let [signal, error] = [0, 0];
  for (let i = 0; i < r.length; i++) {
    const [a, b] = [Number(r[i]), Number(o[i])];
    if (Object.is(a, b) || a === b) continue;
    error += (a - b) ** 2;
  }
  for (let i = 0; i < r.length; i++) if (Number.isFinite(Number(r[i]))) signal += Number(r[i]) ** 2;
  return error === 0 ? Infinity : 10 * Math.log10(signal / error);
}
