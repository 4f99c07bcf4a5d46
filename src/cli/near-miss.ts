/** For messages about names that do not exist: which of those there are was probably meant. */
import { nearestName } from 'zeropoint/onnx';

/** `, did you mean 'Conv'?`; empty if nothing is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const found = nearestName(name, known);
  return found === undefined ? '' : `, did you mean '${found}'?`;
}
