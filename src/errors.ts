/**
 * Every failure that is not a wrong argument. Wrong arguments throw TypeError or RangeError.
 * Texts read `where: expected X, got Y`; `hint` says what to do; `code` never changes between releases.
 */

/** Stable error codes. A new failure gets a new row here, a row is never renamed. */
export type ErrorCode =
  // FormatError: bytes that cannot be read
  | 'FORMAT_NOT_A_FILE'
  | 'FORMAT_EMPTY'
  | 'FORMAT_TRUNCATED'
  | 'FORMAT_INVALID'
  | 'FORMAT_NOT_ONNX'
  | 'FORMAT_LIMIT'
  | 'EXTERNAL_DATA_MISSING'
  | 'EXTERNAL_DATA_OUTSIDE'
  | 'EXTERNAL_DATA_TRUNCATED'
  | 'NPY_INVALID'
  | 'STATE_INVALID'
  | 'CONFIG_INVALID'
  // GraphError: a model that contradicts itself
  | 'GRAPH_INVALID'
  | 'GRAPH_NOT_QUANTIZABLE'
  // UnsupportedError: valid, not ours yet
  | 'UNSUPPORTED_OPSET'
  | 'UNSUPPORTED_OP'
  | 'UNSUPPORTED_DTYPE'
  | 'UNSUPPORTED_FEATURE'
  | 'RUNTIME_MISSING'
  | 'RUNTIME_FAILED'
  // CalibrationError: data that cannot give ranges
  | 'CALIBRATION_EMPTY'
  | 'CALIBRATION_NAN'
  | 'CALIBRATION_INPUT'
  | 'CALIBRATION_MERGE'
  // writing
  | 'OUTPUT_EXISTS'
  | 'OUTPUT_FAILED'
  // a bound that the caller set
  | 'BUDGET_EXCEEDED';

/** What a {@link QuantError} carries beside its message. */
export interface QuantErrorOptions {
  readonly code: ErrorCode;
  /** What to do about it, one sentence. */
  readonly hint?: string;
  /** The facts of the message as data, for programs. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Base class of everything zeropoint throws for reasons outside the caller's code. */
export class QuantError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, options: QuantErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}

/** Bytes that are not what they should be; `details` has the offset and the field where known. */
export class FormatError extends QuantError {}

/** A model that contradicts itself; `details` has the node or the value. */
export class GraphError extends QuantError {}

/** Valid input that zeropoint does not handle yet; the hint says what would work. */
export class UnsupportedError extends QuantError {}

/** Data from which no range can be had: none seen, NaN, wrong name, shape or dtype. */
export class CalibrationError extends QuantError {}
