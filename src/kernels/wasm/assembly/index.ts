/** SIMD kernels. Equal to ../../reference.ts bit for bit; the host (../kernels.ts) stages, splits and checks ranges. */
export * from './memory';
export { prepareQuantize, quantizeByColumn, quantizeByRow } from './quantize';
export { dequantizeByColumn, dequantizeByRow } from './dequantize';
export { fakeQuantizeByColumn, fakeQuantizeByRow, prepareFakeQuantize } from './fake-quantize';
export { extremes, extremesByColumn, extremesByRow } from './extremes';
export { histogram } from './histogram';
export { countMagnitudes, float16ToFloat32, float32ToFloat16 } from './float16';
export { dequantizeBlocks, quantizeBlocks, quantizeBlocksByColumn, quantizeByThresholds } from './blocks';
