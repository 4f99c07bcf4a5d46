/** `zeropoint/onnx`: read, edit, quantize and write ONNX models. */
export { nearestName } from './errors/nearest-name.ts';
export { attr, toAttribute } from './graph/attribute.ts';
export type { Attribute, AttributeInput, AttributeKind, SparseTensor } from './graph/attribute.ts';
export { buildGraph, buildModel, GraphBuilder } from './graph/build.ts';
export type { BuildOptions } from './graph/build.ts';
export type { ElementType, ForeignType, OnnxDType } from './graph/element-type.ts';
export { Graph } from './graph/graph.ts';
export type { NodeInit, Place, ReplaceOptions } from './graph/graph.ts';
export { Model } from './graph/model.ts';
export type { ModelFunction } from './graph/model.ts';
export { Node } from './graph/node.ts';
export { printGraph, printModel, printNode } from './graph/print.ts';
export { isSorted } from './graph/sort.ts';
export { memorySource } from './graph/tensor-source.ts';
export type { TensorSource } from './graph/tensor-source.ts';
export { Value } from './graph/value.ts';
export type { Use } from './graph/value.ts';
export { formatType, tensorType } from './graph/value-type.ts';
export type { Dim, TensorType, ValueType } from './graph/value-type.ts';
export { checkOpset, NEWEST_IR_VERSION, NEWEST_OPSET } from './graph/opset.ts';
export { readModel } from './formats/onnx/read-model.ts';
export type { ReadModelOptions } from './formats/onnx/read-model.ts';
export type { ExternalFiles } from './formats/onnx/external-data.ts';
export { writeModel } from './formats/onnx/write-model.ts';
export type {
  ExternalDataOptions,
  WriteModelOptions,
  WriteProgress,
  WrittenFile,
} from './formats/onnx/write-model.ts';
export { openNpy, NpyArray, encodeNpy } from './formats/npy/npy.ts';
export { openNpz, NpzFile } from './formats/npy/npz.ts';
export { directorySink, MemorySink } from './formats/sink.ts';
export type { Sink, SinkLike } from './formats/sink.ts';
export type { Source, SourceLike } from './formats/source.ts';
export {
  batchSizeFor,
  compareOutputs,
  createRunner,
  inputValues,
  measureLatency,
  openCalibrationData,
  openImageData,
  ortNode,
  ortWeb,
  outputValues,
} from './runners/index.ts';
export type {
  CalibrationData,
  CalibrationDataOptions,
  Comparison,
  Feeds,
  GraphOptimization,
  ImageDataOptions,
  ImageLike,
  ImageOptions,
  ImageSize,
  Latency,
  LatencyOptions,
  ModelRunner,
  OutputError,
  PassOptions,
  RunnerOptions,
  RunnerSource,
  RunnerValue,
  RunOptions,
  Shard,
} from './runners/index.ts';
export { equalizeLayers } from './algorithms/cross-layer-equalization.ts';
export type { EqualizeOptions } from './algorithms/cross-layer-equalization.ts';
export { clean } from './passes/clean.ts';
export { eliminateIdentity } from './passes/eliminate-identity.ts';
export { foldConstants } from './passes/fold-constants.ts';
export { foldBatchNormalization } from './passes/fold-batch-normalization.ts';
export { inlineFunctions } from './passes/inline-functions.ts';
export { mergeDuplicateInitializers } from './passes/merge-duplicate-initializers.ts';
export { raiseOpset } from './passes/raise-opset.ts';
export { removeUnused } from './passes/remove-unused.ts';
export type { Pass, PassResult, SkippedNode } from './passes/pass.ts';
export { calibrate } from './ptq/calibrate.ts';
export type { Batch, Batches, CalibrateOptions } from './ptq/calibrate.ts';
export { convert } from './ptq/convert.ts';
export type { Converted, ConvertOptions, CopyOptions } from './ptq/convert.ts';
export { onnxQConfig, staticQConfigMapping } from './ptq/default-qconfig.ts';
export type { ActivationDType, DefaultQConfigOptions, WeightDType } from './ptq/default-qconfig.ts';
export { identifyModel } from './ptq/identify-model.ts';
export type { ModelIdentity } from './ptq/identify-model.ts';
export { convertToFloat16 } from './ptq/float16/convert-to-float16.ts';
export type { Float16Converted, Float16Options } from './ptq/float16/convert-to-float16.ts';
export { CLAMP_RULES } from './ptq/float16/clamp-rules.ts';
export type { ClampRange, ClampRule } from './ptq/float16/clamp-rules.ts';
export { findOverflows } from './ptq/float16/find-overflows.ts';
export type { Overflow } from './ptq/float16/find-overflows.ts';
export { KEEP_PRESETS } from './ptq/float16/keep.ts';
export type { KeepOptions, KeepPreset, KeptOps } from './ptq/float16/keep.ts';
export type { Float16Report, NarrowedConstant } from './ptq/float16/report.ts';
export type { HalfDType } from './ptq/float16/signatures.ts';
export type { JobOptions, Progress } from './ptq/job.ts';
export { chooseMode } from './presets/choose-mode.ts';
export type { ModeChoice, ModeFacts } from './presets/choose-mode.ts';
export { CHECK_TARGETS } from './presets/backends/table.ts';
export type { CheckTarget, ProbedBackend, Support } from './presets/backends/table.ts';
export { check, failsCheck } from './presets/check/check.ts';
export type { CheckFinding, CheckOptions, CheckReport, TargetCheck } from './presets/check/check.ts';
export type { RunsOn } from './presets/variants/backends.ts';
export type { BaseFile, ModelFiles } from './presets/variants/base-files.ts';
export { modelTypeOf, withVariantsInConfig } from './presets/variants/config-json.ts';
export type { ConfigFacts } from './presets/variants/config-json.ts';
export { findBaseFiles, VARIANT_DTYPES, variantFile } from './presets/variants/dtypes.ts';
export type { FoundFiles, VariantDType } from './presets/variants/dtypes.ts';
export { withVariantsInReadme } from './presets/variants/readme.ts';
export type { ReadmeFacts } from './presets/variants/readme.ts';
export type { VariantPreset, VariantReport } from './presets/variants/recipes.ts';
export { variants } from './presets/variants/variants.ts';
export type {
  SkippedVariant,
  Variant,
  VariantPlan,
  VariantsJob,
  VariantsOptions,
  VariantsProgress,
  VariantsResult,
} from './presets/variants/types.ts';
export { findTarget, float16OptionsFor, TARGETS } from './presets/targets.ts';
export type { Mode, TargetFacts } from './presets/targets.ts';
export type { NameStyle } from './ptq/names.ts';
export { STATIC_OP_TYPES } from './ptq/ops/index.ts';
export { mergePlans, planFromJSON } from './ptq/plan.ts';
export type { ObserverSpec, Plan, PlannedActivation, PlannedNode } from './ptq/plan.ts';
export { checkSameModel, mergePlanFiles, missingShards, parsePlanFile, planFile } from './ptq/plan-file.ts';
export type { DataPart, PlanFile } from './ptq/plan-file.ts';
export { opsetToPrepare, prepare } from './ptq/prepare.ts';
export type { PrepareOptions } from './ptq/prepare.ts';
export type { Coverage } from './ptq/ops/index.ts';
export { toQOperator } from './ptq/qoperator/to-qoperator.ts';
export { quantizeDynamic } from './ptq/quantize-dynamic.ts';
export type { QuantizeDynamicOptions } from './ptq/quantize-dynamic.ts';
export type { DynamicRules } from './ptq/dynamic/index.ts';
export { quantizeStatic } from './ptq/quantize-static.ts';
export type { QuantizeStaticOptions } from './ptq/quantize-static.ts';
export { readyForPlan, readyStatic } from './ptq/ready-static.ts';
export type { ReadyModel, ReadyOptions } from './ptq/ready-static.ts';
export { storeWeights } from './ptq/store-weights.ts';
export type { StoreWeightsOptions } from './ptq/store-weights.ts';
export type { WeightAlgorithm } from './ptq/weight-only/block-weight.ts';
export { quantizeWeights } from './ptq/weight-only/quantize-weights.ts';
export type {
  QuantizeWeightsOptions,
  WeightFormat,
  WeightOverride,
  WeightSettings,
} from './ptq/weight-only/options.ts';
export type { QuantizationReport, QuantizedNode, QuantizedValue, QuantizedWeight } from './ptq/report.ts';
export { VERSION } from './ptq/version.ts';
