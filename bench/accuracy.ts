/**
 * Accuracy of every mode on trained models with held-out labels. The models are not all in this repository: pass the
 * folder that has them (NAME.onnx and NAME_test.npz, fmnist and digits each with one file of data).
 * Run after a build: `npx tsx --tsconfig tsconfig.run.json bench/accuracy.ts FOLDER [SAMPLES]`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sqnr } from 'zeropoint';
import {
  convertToFloat16,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  type Converted,
  type Model,
} from 'zeropoint/onnx';
import { bytesOf, calibration, run, TRAINED, type TrainedData } from './trained-models.ts';

const [folder, limit = '5000'] = process.argv.slice(2);
if (folder === undefined || !existsSync(folder)) {
  console.error('accuracy: expected the folder of the models, got ' + String(folder));
  process.exit(2);
}

const MODES: Readonly<
  Record<string, (model: Model, data: TrainedData) => Promise<Pick<Converted, 'model'>>>
> = {
  'static, by channel': (model, data) => quantizeStatic(model, { batches: calibration(data) }),
  'static, by channel, QOperator form': (model, data) =>
    quantizeStatic(model, { batches: calibration(data) }, { format: 'qoperator' }),
  'static, per tensor': (model, data) =>
    quantizeStatic(model, {
      batches: calibration(data),
      qconfigMapping: staticQConfigMapping({ perChannel: false }),
    }),
  "static, by channel, onnxruntime's names": (model, data) =>
    quantizeStatic(model, { batches: calibration(data) }, { names: 'onnxruntime' }),
  dynamic: (model) => quantizeDynamic(model),
  'weights, 8 bit': (model) => quantizeWeights(model, { bits: 8 }),
  'weights, 4 bit': (model) => quantizeWeights(model, { bits: 4 }),
  float16: (model) => convertToFloat16(model),
};

console.log('| model | mode | size | accuracy | SQNR of the logits |\n|---|---|--:|--:|--:|');
for (const { name, data: open } of TRAINED) {
  const path = join(folder, `${name}.onnx`);
  if (!existsSync(path)) continue;
  const data = await open(folder);
  const count = Math.min(data.count, Number(limit));
  const model = await readModel(path);
  const original = await bytesOf(model);
  const float = await run(original, data, count);
  console.log(
    `| ${name} | float32 | ${(original.length / 1000).toFixed(1)} KB | ${(100 * float.accuracy).toFixed(2)} % | |`,
  );
  for (const [mode, quantize] of Object.entries(MODES)) {
    const converted = await quantize(model, data).catch((error: unknown) => error);
    if (converted instanceof Error) {
      const reason =
        'code' in converted && converted.code === 'GRAPH_NOT_QUANTIZABLE'
          ? 'does not apply'
          : converted.message;
      console.log(`| ${name} | ${mode} | | | ${reason} |`);
      continue;
    }
    const bytes = await bytesOf((converted as Converted).model);
    const result = await run(bytes, data, count);
    const ratio = sqnr(float.logits, result.logits).toFixed(1);
    console.log(
      `| ${name} | ${mode} | ${((100 * bytes.length) / original.length).toFixed(1)} % | ${(100 * result.accuracy).toFixed(2)} % | ${ratio} dB |`,
    );
  }
}
