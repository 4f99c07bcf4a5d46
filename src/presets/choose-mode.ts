/**
 * What to do with a model when nobody said: by where its weights are, by whether there is data, by where it is to run.
 *
 * - Recurrent nets and transformers: dynamic. Their activations have outliers (attention masks, residual streams) that
 *   one fixed range a tensor serves badly, and their matrix products are large enough to pay for finding ranges.
 * - Conv nets: static; without data float16 (half the size, and a quarter more time on a CPU), or, where that costs no
 *   time, int8 for storage alone. Figures: docs/config.md.
 * - What only multiplies matrices: static with data, dynamic without.
 * - WebGPU computes in float: weights alone.
 *
 * A kind's way can find nothing to do in a net; then it is another one:
 * 1. All products in bodies of If, Loop or Scan, which static mode leaves in float: what would be done without data.
 * 2. Recurrent nodes alone: GRU and RNN have no integer form and none of them a form with weights alone, so float16; but
 *    for WebGPU, which computes LSTM and GRU in float32 alone, only if there is something beside them. Else it is refused.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { BOOLEAN, oneOf } from '../errors/option-rules.ts';
import { GraphError } from '../errors.ts';
import { checkModel, type Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import { ONNX_BACKENDS, type OnnxBackend } from '../qconfig/onnx-backends.ts';
import { checkNotQuantized } from '../ptq/check-model.ts';
import { netOf, type Net, type NetKind } from './net-kind.ts';
import { TARGETS, type Mode } from './targets.ts';

/** A mode, and why. */
export interface ModeChoice {
  readonly mode: Mode;
  /** For people, one line. */
  readonly reason: string;
  /** With `weight-only`: in blocks (`quantizeWeights`), or by channel (`storeWeights`). Default `blocks`. */
  readonly weights?: 'blocks' | 'channels';
}

/** What {@link chooseMode} can know besides the model. */
export interface ModeFacts {
  /** There is calibration data. Default false. */
  readonly hasData?: boolean;
  /** Default `onnxruntime-cpu`. */
  readonly target?: OnnxBackend;
}

const RULES = {
  hasData: BOOLEAN,
  target: oneOf(...ONNX_BACKENDS),
} satisfies Record<keyof ModeFacts, Rule>;

interface Way extends Omit<ModeChoice, 'reason'> {
  /** Follows what was found, such as `a conv net: 20 convolutions`. */
  readonly because: string;
}

/** int8 weights by channel, computed with in float: what WebAssembly loses no time by (docs/config.md). */
const STORAGE = { mode: 'weight-only', weights: 'channels' } as const;

const DYNAMIC: Way = { mode: 'dynamic', because: '' };
const STATIC: Way = { mode: 'static', because: 'and there is data' };
const BLOCKS: Way = { mode: 'weight-only', because: 'and WebGPU computes in float: weights alone' };
const HALF: Way = { mode: 'float16', because: 'and no data to measure ranges on, which integers need' };
const TABLES: Way = { mode: 'weight-only', because: '' };
const IN_BODIES = 'all products in bodies of If, Loop or Scan, which static mode leaves in float';

/** With data, and without. */
type Ways = readonly [withData: Way, without: Way];

const same = (way: Way): Ways => [way, way];

const CPU: Readonly<Record<NetKind, Ways>> = {
  recurrent: same(DYNAMIC),
  transformer: same(DYNAMIC),
  conv: [STATIC, HALF],
  'depthwise conv': [STATIC, HALF],
  products: [STATIC, { mode: 'dynamic', because: 'and no data to calibrate with' }],
  tables: same(TABLES),
};

const WEB: Readonly<Record<NetKind, Ways>> = {
  ...CPU,
  conv: [STATIC, { ...STORAGE, because: 'and no data to measure ranges on: int8 for storage alone' }],
  'depthwise conv': same({
    ...STORAGE,
    because: 'many of them depthwise, which WebAssembly computes faster in float: int8 for storage alone',
  }),
};

const ON_GPU: Way = { ...STORAGE, because: 'and WebGPU has no integer ones: int8 for storage alone' };

const WEBGPU: Readonly<Record<NetKind, Ways>> = {
  recurrent: same(BLOCKS),
  transformer: same(BLOCKS),
  conv: same(ON_GPU),
  'depthwise conv': same(ON_GPU),
  products: same(BLOCKS),
  tables: same(TABLES),
};

const CHOICES: Readonly<Record<OnnxBackend, Readonly<Record<NetKind, Ways>>>> = {
  'onnxruntime-cpu': CPU,
  'onnxruntime-cpu-avx2': CPU,
  'onnxruntime-arm': CPU,
  'onnxruntime-web': WEB,
  webgpu: WEBGPU,
};

/**
 * The mode for a model, from its header alone. Whether the model has anything to quantize, the mode's own function says.
 *
 * @throws GraphError GRAPH_NOT_QUANTIZABLE for a model that is quantized already: what is left in float was left on purpose,
 *   and no mode but float16, if it is asked for, takes it; and for recurrent nodes that no mode does anything with at the
 *   target
 * @example chooseMode(model, { hasData: true, target: 'onnxruntime-web' }) // { mode: 'static', reason: 'a conv net: ...' }
 */
export function chooseMode(model: Model, facts: ModeFacts = {}): ModeChoice {
  checkModel('chooseMode', model);
  checkOptions('chooseMode', facts, RULES);
  checkNotQuantized(model);
  const { hasData = false, target = 'onnxruntime-cpu' } = facts;
  const net = netOf(model);
  const usual = wayFor(net, CHOICES[target][net.kind], hasData);
  const { because, ...way } =
    (net.kind === 'recurrent' ? wayWithout(net, usual, target) : undefined) ?? usual;
  return { ...way, reason: [net.found, because].filter((part) => part !== '').join(', ') };
}

/** Without data the convolutions of a net whose weights are mostly elsewhere can stay as they are. */
function wayFor({ kind, mostlyProducts, inBodies }: Net, [withData, without]: Ways, hasData: boolean): Way {
  const isIdle = hasData && withData.mode === 'static' && inBodies;
  if (hasData && !isIdle) return withData;
  const way: Way =
    kind === 'conv' && mostlyProducts && without.mode === 'float16'
      ? { mode: 'dynamic', because: 'most of its weights in matrix products, and no data to calibrate with' }
      : without;
  return isIdle ? { ...way, because: IN_BODIES } : way;
}

/** What is done with recurrent nodes that `usual` has no form for, where it finds nothing else. */
function wayWithout({ recurrent, hasMatrices }: Net, usual: Way, target: OnnxBackend): Way | undefined {
  const ops = [...new Set(recurrent.map(({ opType }) => opType))];
  if (hasMatrices || (usual.mode === 'dynamic' && ops.includes('LSTM'))) return undefined;
  const form = usual.mode === 'dynamic' ? 'no integer form' : 'no form with weights alone';
  const has = `${ops.join(' and ')} ${ops.length === 1 ? 'has' : 'have'} ${form}`;
  const { float32Only } = TARGETS[target];
  const isHalved = (node: Node): boolean => !float32Only.includes(node.opType);
  if (recurrent.some((node) => isHalved(node) || neighbours(node).some(isHalved)))
    return { mode: 'float16', because: `and ${has}: float16` };
  throw nothingFor(target, recurrent.length, has);
}

/** Those that give a recurrent node floats (X and initial states) or read what it gives. */
function neighbours({ inputs, outputs }: Node): readonly Node[] {
  const producers = [0, 5, 6].flatMap((index) => inputs[index]?.producer ?? []);
  return [...producers, ...outputs.flatMap((output) => [...(output?.consumers ?? [])])];
}

function nothingFor(target: OnnxBackend, count: number, has: string): GraphError {
  const { place, float32Only } = TARGETS[target];
  return new GraphError(
    `chooseMode: expected a net that some mode makes smaller for ${target}, got recurrent nodes alone (${count}): ${has}, ` +
      `and ${place} computes ${float32Only.join(' and ')} in float32 only`,
    {
      code: 'GRAPH_NOT_QUANTIZABLE',
      hint:
        'Choose another target (without one, onnxruntime-cpu): for a CPU, LSTM is quantized by dynamic mode ' +
        '(quantizeDynamic, --dynamic), and GRU and RNN are halved by float16 (convertToFloat16, --float16).',
      details: { target },
    },
  );
}
