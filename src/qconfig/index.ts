/** The configurations' public names. */
export {
  getDefaultQatQConfig,
  getDefaultQatQConfigMapping,
  getDefaultQConfig,
  getDefaultQConfigMapping,
  type QuantBackend,
  type TorchBackend,
} from './default-qconfig.ts';
export type { OnnxBackend } from './onnx-backends.ts';
export * from './fake-quantize-presets.ts';
export { qconfigFromJSON, qconfigMappingFromJSON } from './from-json.ts';
export * from './observer-presets.ts';
export {
  QConfig,
  qconfigEquals,
  type ObserverClass,
  type ObserverFactory,
  type QConfigFields,
  type QConfigJSON,
} from './qconfig.ts';
export { QConfigMapping, type QConfigDict, type QConfigQuery } from './qconfig-mapping.ts';
export * from './qconfig-presets.ts';
