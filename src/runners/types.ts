/** What runs a model: an inference runtime behind one small interface, so that nothing above knows which one it is. */
import type { ReadModelOptions } from '../formats/onnx/read-model.ts';
import type { Dim } from '../graph/value-type.ts';
import type { Model } from '../graph/model.ts';
import type { OnnxDType } from '../graph/element-type.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';

/** An input or output of a model, as the model declares it. */
export interface RunnerValue {
  readonly name: string;
  readonly dtype: OnnxDType;
  /** A named or unknown axis can have any size; undefined: so can their number. */
  readonly shape: readonly Dim[] | undefined;
}

/** Inputs of a model by name. */
export type Feeds = Readonly<Record<string, TensorLike>>;

/** What a run shall give, and when it shall stop. */
export interface RunOptions {
  /** Values to give, by name: any that the main graph computes, not only its outputs. Default: the graph's outputs. */
  readonly fetch?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Smallest and largest value of a tensor without NaN and infinities. */
export interface Extremes {
  readonly min: number;
  readonly max: number;
}

/** What {@link ModelRunner.runForExtremes} shall give. */
export interface ExtremesOptions extends RunOptions {
  /** Values whose extremes to give, by name. */
  readonly extremesOf: readonly string[];
}

/** What {@link ModelRunner.runForExtremes} gives. */
export interface ExtremesResult {
  /** What was to be fetched. */
  readonly results: Record<string, Tensor>;
  /** By name. A value is missing if it is no float32, is empty or has NaN or infinities: look at it itself then. */
  readonly extremes: Readonly<Record<string, Extremes>>;
}

/** A model that is loaded by a runtime. */
export interface ModelRunner {
  /** The runtime, its version and where it computes: `onnxruntime-node 1.30.0 (cpu)`. */
  readonly name: string;
  /** What it runs, if it knows: what is wrong in a result may be traced to a weight then. */
  readonly model?: Model;
  /** What must be fed: inputs without those that have a default. */
  readonly inputs: readonly RunnerValue[];
  /** Outputs that are tensors of numbers. */
  readonly outputs: readonly RunnerValue[];
  /**
   * Runs the model once. The tensors given are the caller's to keep; runs asked for at the same time go one after the
   * other. The session of the last `fetch` is kept, so runs that fetch the same values load the model once.
   *
   * @throws CalibrationError CALIBRATION_INPUT if feeds do not fit the inputs, before anything runs; UnsupportedError
   *   RUNTIME_FAILED with the runtime's own error as `cause`; RangeError for a value that the graph does not compute.
   */
  run(feeds: Feeds, options?: RunOptions): Promise<Record<string, Tensor>>;
  /**
   * As `run`, and the runtime finds the extremes of further values where they are: copying them out costs about as much
   * as computing them. Optional: who calibrates with a runner that lacks it fetches all values.
   */
  runForExtremes?(feeds: Feeds, options: ExtremesOptions): Promise<ExtremesResult>;
  /** Frees the runtime's memory. A disposed runner cannot run. */
  dispose(): Promise<void>;
}

/** How far the runtime may rewrite the graph before it runs it. */
export type GraphOptimization = 'disabled' | 'basic' | 'extended' | 'all';

/** How a runtime loads and runs a model. */
export interface RunnerOptions extends Pick<ReadModelOptions, 'maxStructureBytes'> {
  /**
   * Default 'basic': constants are folded, arithmetic stays what the file says (1.4 times as fast as 'disabled' when
   * all values are fetched). 'extended' and 'all' are what an application runs; they fuse quantized ops into integer
   * kernels, some of which round activations to 8 bits where the file does not.
   */
  readonly optimization?: GraphOptimization;
  /** Threads of one run. Default: the runtime's own choice. */
  readonly threads?: number;
  /**
   * onnxruntime-node: where models of more than 32 MiB that are not in a file are laid while they are loaded. Made if it is
   * not there; a program that can be ended at any moment removes it when it ends. Default: the system's temporary folder.
   */
  readonly temporaryFolder?: string;
  /** The module of the runtime if the caller has it already: `import * as ort from 'onnxruntime-web'`. */
  readonly ort?: unknown;
}
