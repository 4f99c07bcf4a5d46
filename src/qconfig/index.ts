/** The configurations' public names. */
export {
  getDefaultQatQConfig,
  getDefaultQatQConfigMapping,
  getDefaultQConfig,
  getDefaultQConfigMapping,
  type QuantBackend,
} from './default-qconfig.ts';
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
