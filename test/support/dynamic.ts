/** How far a quantized model is from its float original in onnxruntime, whatever it optimizes. */
import { sqnr, type Tensor } from 'zeropoint';
import { ortNode, readModel, type GraphOptimization, type Model } from 'zeropoint/onnx';
import { bytesOf, LEVELS } from './graphs.ts';

export type Feeds = Readonly<Record<string, Tensor>>;

async function run(
  model: Model,
  feeds: Feeds,
  optimization: GraphOptimization,
): Promise<Record<string, Tensor>> {
  const runner = await ortNode(model, { optimization });
  const outputs = await runner.run(feeds);
  await runner.dispose();
  return outputs;
}

/** Signal to noise of the worst output at the worst level, in dB. */
export async function worstSqnr(float: Model, quantized: Model, feeds: Feeds): Promise<number> {
  const bytes = await bytesOf(quantized);
  const expected = await run(float, feeds, 'disabled');
  let worst = Infinity;
  for (const optimization of LEVELS) {
    const outputs = await run(await readModel(bytes), feeds, optimization);
    for (const [name, value] of Object.entries(expected)) worst = Math.min(worst, sqnr(value, outputs[name]));
  }
  return worst;
}
