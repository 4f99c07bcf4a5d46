/**
 * Additive attention masks: constants like -10000 or -3.4e38 that are added to scores before a Softmax, or chosen in their
 * place. A grid that reaches so far has no codes left for the scores. So the op that brings the mask in and its Softmax stay
 * in float: by this pattern where constants show it, and by the calibrated range where only data does (see `convert`).
 */
import type { Value } from '../../graph/value.ts';
import { reaches } from './reaches.ts';

/** Values at or below this come from a mask: scores of a trained net lie within some hundreds. */
export const MASK_LIMIT = -1000;

/** What a node is told that is left in float for this. */
export const MASK_ADVICE = `attention-mask values (${MASK_LIMIT} and below) would leave no codes for the scores`;

/** Ops that masks are made and broadcast with. */
const MAKES_MASKS = new Set(
  (
    'Add Sub Mul Where Cast CastLike Unsqueeze Squeeze Reshape Flatten Transpose Expand Slice Gather Concat Tile Pad ' +
    'Min Max Clip Identity ConstantOfShape Trilu ScatterND'
  ).split(' '),
);

/** Ops between bringing in a mask and the Softmax. */
const BEFORE_SOFTMAX = new Set(
  'Add Sub Where Min Max Clip Cast Reshape Flatten Transpose Squeeze Unsqueeze Identity'.split(' '),
);

/** True if an element of the constants that the value is made of is as low as a mask's. */
export function holdsMask(value: Value | undefined): boolean {
  return reaches(value, (at) => {
    const held = at.constant;
    if (held !== undefined) return isLow(held.tensor?.data) || NONE;
    const { producer } = at;
    if (producer === undefined || producer.domain !== '' || !MAKES_MASKS.has(producer.opType)) return NONE;
    const filled = producer.attributes.get('value');
    return (filled?.kind === 'tensor' && isLow(filled.value.tensor?.data)) || producer.inputs;
  });
}

/** True if the value is what a Softmax takes, or becomes it by sums and reshapes. */
export function feedsSoftmax(value: Value | undefined): boolean {
  return reaches(value, (at) => {
    const readers = [...at.consumers].filter((node) => node.domain === '');
    if (readers.some(({ opType }) => opType === 'Softmax' || opType === 'LogSoftmax')) return true;
    return readers.filter(({ opType }) => BEFORE_SOFTMAX.has(opType)).map((node) => node.outputs[0]);
  });
}

const NONE: readonly Value[] = [];

/** Integers count too: they are cast before they are added. 64-bit ones are bounds of Slice, not masks. */
function isLow(data: ArrayLike<number | bigint> | undefined): boolean {
  for (let i = 0; i < (data?.length ?? 0); i++) {
    const x = data?.[i];
    if (typeof x === 'number' && x <= MASK_LIMIT) return true;
  }
  return false;
}
