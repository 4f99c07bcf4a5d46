/** Peak tests of detectors: scores that are compared with their neighbours stay in float, or each peak becomes many. */
import { expect, it } from 'vitest';
import { tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  onnxQConfig,
  ortNode,
  quantizeStatic,
  staticQConfigMapping,
  type GraphBuilder,
  type Model,
  type QuantizeStaticOptions,
  type Value,
} from 'zeropoint/onnx';
import { random } from './support/graphs.ts';

const SIDE = 32;
const CHANNELS = 8;
/** Peaks in the quantized model for each in float. */
const MOST = 1.5;

/** Offsets are that much larger than the scores, and have the same grid. */
const LOUDNESS = 8;

/** Two convolutions, whose first output channel are scores; those stay that no neighbour exceeds. */
const detector = buildModel((b) => {
  const body = conv(b, b.input('x', 'float32', [1, 1, SIDE, SIDE]), 'body', [CHANNELS, 1, 3, 3]);
  const head = conv(b, b.op('Relu', [body]), 'head', [2, CHANNELS, 1, 1], [1, LOUDNESS]);
  const [scores, offsets] = b.ops('Split', [head], ['scores', 'offsets'], { axis: 1, num_outputs: 2 });
  const map = b.op('Sigmoid', [scores], {}, 'map');
  const highest = b.op('MaxPool', [map], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }, 'highest');
  const isPeak = b.op('Cast', [b.op('Equal', [highest, map])], { to: 1 }, 'is_peak');
  b.output(b.op('Mul', [map, isPeak]), 'peaks', 'float32');
  b.output(offsets, 'offsets', 'float32');
});

/** `gains`: factors of the output channels, 1 where there is none. */
function conv(
  b: GraphBuilder,
  x: Value,
  name: string,
  shape: readonly number[],
  gains: readonly number[] = [],
): Value {
  const pad = shape[2] >> 1;
  const perChannel = shape.slice(1).reduce((product, size) => product * size, 1);
  const { data } = random(shape, name.length);
  const values = Float32Array.from(
    data as Float32Array,
    (value, i) => value * (gains[Math.floor(i / perChannel)] ?? 1),
  );
  const weight = b.constant(`${name}_w`, tensor(values, shape));
  return b.op('Conv', [x, weight], { pads: [pad, pad, pad, pad] }, name);
}

/** Some smooth hills. */
function hills(phase: number): Tensor {
  const values = Float32Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    return Math.sin(0.37 * x + phase) * Math.cos(0.31 * y - phase) + 0.3 * Math.sin(0.11 * (x + y));
  });
  return tensor(values, [1, 1, SIDE, SIDE]);
}

async function peaksOf(model: Model): Promise<number> {
  const runner = await ortNode(model, { optimization: 'all' });
  const { peaks } = await runner.run({ x: hills(2) });
  await runner.dispose();
  return (peaks.data as Float32Array).filter((score) => score > 0).length;
}

const quantized = (options: Partial<QuantizeStaticOptions> = {}): ReturnType<typeof quantizeStatic> =>
  quantizeStatic(detector, { batches: [{ x: hills(0) }, { x: hills(1) }], ...options });

it(`what is compared stays in float with what computes it: at most ${MOST} peaks for each in float`, async () => {
  const { model, report } = await quantized();
  expect(report.quantized.map(({ opType }) => opType)).toEqual(['Conv', 'Relu']);
  const head = report.skipped.find(({ opType }) => opType === 'Conv');
  expect(head?.reason).toMatch(/compared with each other/);
  expect(await peaksOf(model)).toBeLessThanOrEqual(MOST * (await peaksOf(detector)));
});

it('a mapping that names the convolution has it quantized all the same, and peaks become plateaus', async () => {
  const name = detector.graph.nodes.toArray().filter((node) => node.is('Conv'))[1].name;
  const qconfigMapping = staticQConfigMapping().setModuleName(name, onnxQConfig());
  const { model, report } = await quantized({ qconfigMapping });
  expect(report.quantized.filter(({ opType }) => opType === 'Conv')).toHaveLength(2);
  expect(await peaksOf(model)).toBeGreaterThan(MOST * (await peaksOf(detector)));
});

it('a comparison with a constant asks for nothing', async () => {
  const model = buildModel((b) => {
    const x = conv(b, b.input('x', 'float32', [1, 1, SIDE, SIDE]), 'body', [CHANNELS, 1, 3, 3]);
    const isHigh = b.op('GreaterOrEqual', [x, b.constant('level', tensor(0.5, []))]);
    b.output(b.op('Cast', [isHigh], { to: 1 }), 'y', 'float32');
  });
  const { report } = await quantizeStatic(model, { batches: [{ x: hills(0) }] });
  expect(report.quantized.map(({ opType }) => opType)).toEqual(['Conv']);
});
