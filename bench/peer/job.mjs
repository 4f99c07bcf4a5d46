/**
 * One job of zeropoint in a process of its own, with the same settings as quantize.py and the same report: {seconds,
 * megabytes} as JSON. `seconds` is reading, quantizing and writing, without Node's start and imports; `megabytes` the peak
 * of the process. Usage: node job.mjs MODEL OUT '{"mode": ...}' [DATA].
 */
import { peakBytes } from '../../scripts/lib/peak.mjs';
import {
  EntropyObserver,
  HistogramObserver,
  MinMaxObserver,
  MSEObserver,
  PercentileObserver,
} from 'zeropoint';
import {
  batchSizeFor,
  inputValues,
  openCalibrationData,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  writeModel,
} from 'zeropoint/onnx';

const OBSERVERS = {
  MinMax: MinMaxObserver,
  Entropy: EntropyObserver,
  Percentile: PercentileObserver,
  Histogram: HistogramObserver,
  MSE: MSEObserver,
};

const JOBS = {
  dynamic: (model, { weights, perChannel, convolutions }) =>
    quantizeDynamic(model, {
      perChannel,
      convolutions,
      weightDType: weights === 'QUInt8' ? 'uint8' : 'int8',
    }),

  async static(model, { method, samples }, data) {
    const dealing = { samples, defaultBatchSize: batchSizeFor(model) };
    const { batches } = await openCalibrationData(data, inputValues(model), dealing);
    const activation = OBSERVERS[method].withArgs({ dtype: 'quint8', rule: 'onnx' });
    const qconfigMapping = staticQConfigMapping({ activation });
    return quantizeStatic(model, { batches: batches(), qconfigMapping, coverage: 'all' });
  },

  weights: (model, { blockSize }) => quantizeWeights(model, { bits: 4, blockSize, embeddings: false }),
};

const [path, out, text, data] = process.argv.slice(2);
const job = JSON.parse(text);
const start = performance.now();
const { model } = await JOBS[job.mode](await readModel(path), job, data);
await writeModel(model, out, { overwrite: true });
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ seconds, megabytes: peakBytes() / 2 ** 20 }));
