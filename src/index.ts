/** The fundamentals: tensors, schemes, quantize, observers, QConfig. No dependency, no Node module. */
export * from './tensor/index.ts';
export { getBackend, initKernels, setBackend, type BackendName } from './kernels/backend.ts';
export * from './quant/index.ts';
export * from './observers/index.ts';
export * from './qconfig/index.ts';
