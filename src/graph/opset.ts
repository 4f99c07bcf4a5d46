/** Which operator sets we know: newer ones may give old operators a new meaning, so they are not edited. */
import { UnsupportedError } from '../errors.ts';
import type { Model } from './model.ts';

/** Newest versions in onnx 1.23. */
export const NEWEST_OPSET = 28;
/** Newest version of the file format in onnx 1.23. */
export const NEWEST_IR_VERSION = 14;

/**
 * Throws UnsupportedError UNSUPPORTED_OPSET unless the model imports ONNX's operator set in a version that we know, at
 * least `minimum`. Reading and writing do not need this: only what looks into operators does.
 */
export function checkOpset(model: Model, minimum = 1): void {
  const { opset, irVersion } = model;
  if (opset === 0) throw opsetError('an import of operator set ai.onnx', 'none');
  if (opset > NEWEST_OPSET)
    throw opsetError(`operator set ${NEWEST_OPSET} or older`, String(opset), EXPORT_OLDER);
  if (opset < minimum) {
    throw opsetError(
      `operator set ${minimum} or newer`,
      String(opset),
      'Export the model with a newer operator set.',
    );
  }
  if (irVersion > NEWEST_IR_VERSION) {
    throw opsetError(`IR version ${NEWEST_IR_VERSION} or older`, String(irVersion), EXPORT_OLDER);
  }
}

const EXPORT_OLDER = 'Export the model with an older operator set, or update zeropoint.';

function opsetError(expected: string, got: string, hint?: string): UnsupportedError {
  return new UnsupportedError(`model: expected ${expected}, got ${got}`, {
    code: 'UNSUPPORTED_OPSET',
    hint,
    details: { opset: got },
  });
}
