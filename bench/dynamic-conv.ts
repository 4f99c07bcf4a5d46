/**
 * Time of trained models with their convolutions in integers (quantizeDynamic, `convolutions: true`) against float, in
 * onnxruntime-node on one thread: the least of some runs. `npm run test:models` installs the models.
 *
 *   npx tsx --tsconfig tsconfig.json bench/dynamic-conv.ts
 */
import { MemorySink, ortNode, quantizeDynamic, readModel, writeModel, type Model } from 'zeropoint/onnx';
import { CATALOGUE, type CatalogueEntry } from '../test/models/catalogue.ts';
import type { Feeds } from '../test/models/task.ts';

const [WARM_UP, RUNS] = [3, 12];

async function firstFeeds({ task }: CatalogueEntry, model: Model): Promise<Feeds> {
  const runner = await ortNode(model);
  const [feeds] = await (await task()).calibration((inputs) => runner.run(inputs));
  await runner.dispose();
  return feeds;
}

async function leastTime(model: Model, feeds: Feeds): Promise<number> {
  const runner = await ortNode(model, { optimization: 'all', threads: 1 });
  let least = Infinity;
  for (let i = 0; i < WARM_UP + RUNS; i++) {
    const start = performance.now();
    await runner.run(feeds);
    if (i >= WARM_UP) least = Math.min(least, performance.now() - start);
  }
  await runner.dispose();
  return least;
}

for (const entry of CATALOGUE) {
  const model = await readModel(entry.path);
  if (![...model.graph.allNodes()].some((node) => node.is('Conv'))) continue;
  const sink = new MemorySink();
  await writeModel((await quantizeDynamic(model, { convolutions: true })).model, sink);
  const feeds = await firstFeeds(entry, model);
  const float = await leastTime(model, feeds);
  const integers = await leastTime(await readModel(sink.bytes), feeds);
  const ratio = (integers / float).toFixed(1);
  console.log(
    `${entry.name}: float ${float.toFixed(2)} ms, integers ${integers.toFixed(2)} ms, ${ratio} times`,
  );
}
