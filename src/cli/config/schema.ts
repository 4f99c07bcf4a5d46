/**
 * The configuration file: what each key may be. The published JSON Schema (schema/quant.schema.json) and the type are made
 * of this; what a key means is its description.
 */
import * as v from 'valibot';
import { COVERAGE_NAMES, FORMAT_NAMES, OBSERVER_NAMES, TARGET_NAMES } from '../verbs/options.ts';

const about = <const T extends v.GenericSchema>(schema: T, text: string) =>
  v.optional(v.pipe(schema, v.description(text)));

const whole = (least: number) => v.pipe(v.number(), v.integer(), v.minValue(least));

const observer = {
  observer: about(v.picklist(OBSERVER_NAMES), 'How the range is chosen. Default minmax.'),
  symmetric: about(
    v.boolean(),
    'Zero is the middle code. Default: false for activations; for weights true if their codes are signed.',
  ),
  reduceRange: about(v.boolean(), 'One bit less: codes whose products fit 16 bits.'),
  percentile: about(
    v.pipe(v.number(), v.gtValue(0), v.maxValue(100)),
    'Observer percentile: share of the values that the range holds, in percent. Default 99.99.',
  ),
  averagingConstant: about(
    v.pipe(v.number(), v.gtValue(0), v.maxValue(1)),
    'Observer moving-average: weight of a new batch. Default 0.01.',
  ),
  bins: about(whole(1), 'Observers with a histogram: its bins. Default 2048.'),
};

const ACTIVATION = v.strictObject({
  dtype: about(v.picklist(['uint8', 'int8', 'uint16', 'int16']), 'Codes. 16 bits need opset 21.'),
  ...observer,
});

const WEIGHT = v.strictObject({
  dtype: about(v.picklist(['int8', 'uint8', 'int4', 'uint4']), 'Codes. 4 bits need opset 21.'),
  perChannel: about(v.boolean(), 'A scale for each channel. Default true.'),
  ...observer,
});

const LEVEL = v.pipe(
  v.union([
    v.null(),
    v.literal('float'),
    v.strictObject({
      activation: about(ACTIVATION, 'What these nodes give and read.'),
      weight: about(WEIGHT, 'Their constant weights.'),
    }),
  ]),
  v.description('null or "float": stays in float. What is left out is as in `global`.'),
);

const PIXELS = v.union([whole(1), v.pipe(v.array(whole(1)), v.minLength(2), v.maxLength(2))]);

const CALIBRATION = v.strictObject({
  data: about(
    v.string(),
    'A .npz, .npy or .jsonl file, or a folder of images; a relative path starts at this file.',
  ),
  samples: about(whole(1), 'Samples to calibrate with. Default: all.'),
  batchSize: about(whole(1), 'Samples in one run.'),
  shuffle: about(v.pipe(whole(0), v.maxValue(2 ** 32 - 1)), 'Seed by which samples are drawn.'),
  images: about(
    v.strictObject({
      size: about(PIXELS, 'Length of the shorter side, or [height, width].'),
      crop: about(PIXELS, 'What is cut out of the middle then.'),
      scale: about(v.number(), 'Pixels are multiplied by it first. Default 1/255.'),
      mean: about(v.array(v.number()), 'Subtracted from each channel.'),
      std: about(v.array(v.number()), 'Each channel is divided by it then.'),
      layout: about(v.picklist(['NCHW', 'NHWC']), 'Order of the axes.'),
      channels: about(v.picklist(['rgb', 'bgr', 'gray']), 'Order of the channels.'),
    }),
    'How images become numbers.',
  ),
});

const blocks = {
  bits: about(v.picklist([2, 4, 8]), 'Bits of a code. Default 4.'),
  blockSize: about(v.picklist([16, 32, 64, 128, 256]), 'Weights that share a scale. Default 32.'),
  symmetric: about(v.boolean(), 'No zero points. Default false.'),
  accuracyLevel: about(
    v.picklist([0, 1, 2, 3, 4]),
    'Least precision of activations in MatMulNBits: 0 unset, 1 float32, 2 float16, 3 bfloat16, 4 int8. Default 4.',
  ),
};

const ALGORITHM = v.picklist(['rtn', 'mse', 'hqq', 'gptq']);

const WEIGHTS = v.strictObject({
  format: about(
    v.picklist(['matmul-nbits', 'bnb4', 'dequantize-linear', 'by-channel']),
    'Operator that reads the blocks; by-channel: int8 with one scale a channel, convolutions too.',
  ),
  ...blocks,
  algorithm: about(ALGORITHM, 'How codes are chosen. Default rtn; gptq is the most exact, and needs data.'),
  bnb4Type: about(v.picklist(['nf4', 'fp4']), 'Code book of bnb4. Default nf4.'),
  embeddings: about(v.union([v.literal(false), v.picklist([4, 8])]), 'Bits of tables. Default 8.'),
  embeddingForm: about(
    v.picklist(['blocks', 'rows']),
    'What tables become. rows: 8 bits with a scale a row, in operators that onnxruntime-web has everywhere; the default with target onnxruntime-web. Default blocks.',
  ),
  overrides: about(
    v.array(
      v.strictObject({
        nodes: v.pipe(v.string(), v.description('Name; * stands for anything.')),
        ...blocks,
        algorithm: about(ALGORITHM, 'Default: as above.'),
      }),
    ),
    'Other settings for some nodes; the first that matches wins.',
  ),
});

const FLOAT16 = v.union([
  v.boolean(),
  v.strictObject({
    dtype: about(v.picklist(['float16', 'bfloat16']), 'Default float16.'),
    keepIO: about(v.union([v.boolean(), v.array(v.string())]), 'Inputs and outputs that stay float32.'),
    keepOpTypes: about(v.array(v.string()), 'Operators that stay float32 besides those that must.'),
    clampRule: about(
      v.picklist(['saturate', 'round', 'onnxruntime', 'transformersjs-3']),
      'What becomes of values that do not fit.',
    ),
  }),
]);

const levels = (text: string) => about(v.record(v.string(), LEVEL), text);

/** The file. */
export const CONFIG = v.strictObject({
  $schema: about(v.string(), 'Where this schema is, for editors.'),
  mode: about(
    v.picklist(['static', 'dynamic', 'weight-only', 'float16']),
    'What is done. Default: what suits the model, the data and the target.',
  ),
  target: about(v.picklist(TARGET_NAMES), 'Where the result is to run: chooses mode and types.'),
  coverage: about(
    v.picklist(COVERAGE_NAMES),
    'Mode static: "kernels" (default): what onnxruntime computes in integers; "all": operators that NPUs compute so too.',
  ),
  equalize: about(
    v.boolean(),
    'Mode static: layers whose channels differ so much that 8 bits would suffer are equalized before. Default true.',
  ),
  global: about(LEVEL, 'How every node is quantized that nothing else speaks of.'),
  opTypes: levels('By operator, such as Conv or com.microsoft::Gelu.'),
  namePatterns: levels('By node name; * stands for anything, the first pattern that matches wins.'),
  nodes: levels(
    'By the name of a node, or of a scope around nodes. A node that is left in float on advice is quantized if its own name is here.',
  ),
  exclude: about(
    v.array(v.string()),
    'Names of nodes that stay in float, those without one as reports call them: MatMul(output); * stands for anything.',
  ),
  calibration: about(CALIBRATION, 'Data for static quantization and the comparison.'),
  weights: about(WEIGHTS, 'Mode weight-only.'),
  float16: about(FLOAT16, 'Mode float16; beside mode weight-only: what stays float is converted too.'),
  format: about(
    v.picklist(FORMAT_NAMES),
    'Mode static: "qdq" (default): pairs of QuantizeLinear and DequantizeLinear for the runtime to fuse; "qoperator": its integer operators, 8-bit codes only.',
  ),
  dedicatedPairs: about(
    v.boolean(),
    'Mode static: a pair of QuantizeLinear and DequantizeLinear for each reader of a value. Default false: one for all.',
  ),
  names: about(v.picklist(['short', 'onnxruntime']), 'How added values are named. Default short.'),
  externalData: about(
    v.union([
      v.boolean(),
      v.strictObject({
        threshold: about(whole(0), 'Bytes from which a tensor goes outside. Default 1024.'),
        chunkSize: about(whole(1), 'Largest file in bytes. Default 1 GiB.'),
      }),
    ]),
    'Weights in files beside the model, model.onnx_data, model.onnx_data_1, ... Default: if they were, or beyond 2 GiB.',
  ),
});

/** A configuration as it is written. */
export type Config = v.InferInput<typeof CONFIG>;
/** null or 'float', or settings of one level. */
export type Level = v.InferInput<typeof LEVEL>;
/** How activations get their codes. */
export type ActivationConfig = v.InferInput<typeof ACTIVATION>;
/** How weights get theirs. */
export type WeightConfig = v.InferInput<typeof WEIGHT>;
