/** `zeropoint inspect`: reads the header, prints what is there. */
import { readModel } from 'zeropoint/onnx';
import { runVerb } from '../frame.ts';
import { modelFacts, type ModelFacts } from '../model-facts.ts';
import { fileSize } from '../files.ts';
import { bytes, counted, integer, table } from '../table.ts';
import { readOptions, type ModelOptions } from '../verbs/common.ts';

export async function inspect(path: string, options: ModelOptions): Promise<void> {
  await runVerb(options, async () => {
    const facts = modelFacts(await readModel(path, readOptions(options)));
    const size = await fileSize(path);
    return { json: { file: path, size, ...facts }, text: () => describe(path, size, facts) };
  });
}

function describe(path: string, size: number, facts: ModelFacts): string {
  const opsets = Object.entries(facts.opsets).map(([domain, version]) => `${domain} ${version}`);
  const head = table([
    ['file', `${path}  ${bytes(size)}`],
    ['format', `ONNX IR ${facts.irVersion}, opset ${opsets.join(', ')}`],
    ...(facts.producer === '' ? [] : [['producer', facts.producer]]),
    ...facts.inputs.map(({ name, type }) => ['input', `${name}: ${type}`]),
    ...facts.outputs.map(({ name, type }) => ['output', `${name}: ${type}`]),
    ['parameters', integer(facts.parameters)],
    ...Object.entries(facts.externalData).map(([file, used]) => ['external', `${file}  ${bytes(used)}`]),
    ...Object.entries(facts.metadata).map(([key, value]) => ['metadata', `${key} = ${value}`]),
  ]);
  return [head, nodeTable(facts), weightTable(facts), tensorTable(facts)]
    .filter((part) => part !== '')
    .join('\n');
}

function nodeTable({ nodes, functions, ops }: ModelFacts): string {
  const title = counted(nodes, 'node') + (functions === 0 ? '' : `, ${counted(functions, 'local function')}`);
  const rows = Object.entries(ops).map(([op, count]) => [`  ${op}`, integer(count)]);
  return `${title}\n${table(rows, ['left', 'right'])}`;
}

function weightTable({ weightBytes }: ModelFacts): string {
  const rows = Object.entries(weightBytes).map(([dtype, count]) => [`  ${dtype}`, bytes(count)]);
  return rows.length === 0 ? '' : `weights by dtype\n${table(rows, ['left', 'right'])}`;
}

function tensorTable({ largestTensors }: ModelFacts): string {
  const rows = largestTensors.map(({ name, dtype, shape, bytes: size, where }) => [
    `  ${name}`,
    `${dtype}[${shape.join(', ')}]`,
    bytes(size),
    where === 'model' ? '' : `in ${where}`,
  ]);
  return rows.length === 0 ? '' : `largest tensors\n${table(rows, ['left', 'left', 'right'])}`;
}
