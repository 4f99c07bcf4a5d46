/** Mappings with names and patterns, and with several types in one model. */
import { describe, expect, it } from 'vitest';
import type { QConfigMapping } from 'zeropoint';
import {
  onnxQConfig,
  prepare,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  staticQConfigMapping,
  storeWeights,
} from 'zeropoint/onnx';
import { zooInput, zooModel } from './support/zoo.ts';

describe('a mapping that is about no node of the model', () => {
  const qconfig = onnxQConfig();
  const fresh = (): QConfigMapping => staticQConfigMapping();

  it.each([
    [
      fresh().setModuleName('/1/1.0/Cnov', null),
      /setModuleName to be about a node.*"\/1\/1.0\/Cnov".*near it: "\/1\/1.0\/Conv"/,
    ],
    [fresh().setModuleName('/nowhere/at/all/near/it', null), /which none is under; names look like: "/],
    [fresh().setModuleNameRegex('/head', qconfig), /setModuleNameRegex to be about a node.*got "\/head"/],
    [
      fresh().setModuleNameObjectTypeOrder('', 'Conv', 5, null),
      /setModuleNameObjectTypeOrder .*got "", "Conv", 5/,
    ],
  ])('%#: is refused by every mode, with near names', async (qconfigMapping, text) => {
    const model = await zooModel('digits_cnn');
    const batches = [{ input: zooInput('digits_cnn') }];
    expect(() => prepare(model, qconfigMapping)).toThrow(RangeError);
    expect(() => prepare(model, qconfigMapping)).toThrow(text);
    await expect(quantizeStatic(model, { batches, qconfigMapping })).rejects.toThrow(text);
    await expect(quantizeDynamic(model, { qconfigMapping })).rejects.toThrow(text);
    await expect(quantizeWeights(model, { qconfigMapping })).rejects.toThrow(text);
    await expect(storeWeights(model, { qconfigMapping })).rejects.toThrow(text);
  });

  it('names, scopes, patterns and orders of the file are taken, and op types that it has not', async () => {
    const model = await zooModel('fmnist_resdw');
    const [first] = model.graph.nodes;
    const scope = first.name.slice(0, first.name.lastIndexOf('/'));
    const mapping = fresh()
      .setModuleName(first.name, null)
      .setModuleName(scope, null)
      .setModuleNameRegex('.*Conv', qconfig)
      .setModuleNameObjectTypeOrder('', 'Conv', 0, null)
      .setObjectType('LSTM', null);
    const nodes = [...model.graph.nodes].map(({ opType, name }) => ({ opType, name }));
    expect(mapping.unmatched(nodes)).toEqual([]);
    const batches = [{ input: zooInput('fmnist_resdw') }];
    const { report } = await quantizeStatic(model, { batches, qconfigMapping: mapping });
    expect(report.quantized.length).toBeGreaterThan(0);
  });
});
