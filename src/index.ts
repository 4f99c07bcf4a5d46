/** The fundamentals: tensors, schemes, quantize, observers, QConfig. No dependency, no Node module. */
export * from './tensor/index.ts';
export { getBackend, initKernels, setBackend, type BackendName } from './kernels/backend.ts';
export { createArena, type Arena } from './kernels/wasm/arena.ts';
export * from './quant/index.ts';
export * from './observers/index.ts';
export * from './qconfig/index.ts';
export { CalibrationError, FormatError, GraphError, QuantError, UnsupportedError } from './errors.ts';
export type { ErrorCode, QuantErrorOptions } from './errors.ts';
