/** Runners: the public names. */
export { batchSizeFor } from './batch-size.ts';
export { createRunner } from './create-runner.ts';
export { openCalibrationData } from './calibration-data.ts';
export type { CalibrationData, CalibrationDataOptions, PassOptions, Shard } from './sample-set.ts';
export { openImageData } from './calibration-images.ts';
export type { ImageDataOptions, ImageLike } from './calibration-images.ts';
export type { ImageOptions, ImageSize } from './image-transform.ts';
export { compareOutputs } from './compare-outputs.ts';
export type { Comparison, OutputError } from './compare-outputs.ts';
export { measureLatency } from './latency.ts';
export type { Latency, LatencyOptions } from './latency.ts';
export { ortNode } from './ort-node.ts';
export { ortWeb } from './ort-web.ts';
export type { RunnerSource } from './runner-source.ts';
export { inputValues, outputValues } from './runner-values.ts';
export type {
  Feeds,
  GraphOptimization,
  ModelRunner,
  RunnerOptions,
  RunnerValue,
  RunOptions,
} from './types.ts';
