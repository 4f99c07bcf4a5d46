/** The process behind run-node.ts: a case comes in, an outcome goes out. Its argument is the runtime's package. */
import type * as OrtNode from 'onnxruntime-node';
import type { DType } from 'zeropoint';
import type { Case } from './cases.ts';
import type { Outcome, Output } from './outcome.ts';

const PACKAGE = process.argv[2];
const ort = (await import(PACKAGE)) as typeof OrtNode;
const PROVIDERS = PACKAGE === 'onnxruntime-web' ? { executionProviders: ['wasm'] } : {};

process.on('message', (one: Case) => {
  void outcomeOf(one).then((outcome) => process.send?.(outcome));
});

async function outcomeOf({ bytes, feeds, outputs }: Case): Promise<Outcome> {
  let stage: 'load' | 'run' = 'load';
  try {
    const session = await ort.InferenceSession.create(bytes, {
      graphOptimizationLevel: 'disabled',
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
      ...PROVIDERS,
    });
    stage = 'run';
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, { dtype, data, shape }]) => [
        name,
        // The data of a dtype is the array that onnxruntime wants for it.
        new ort.Tensor(dtype as 'float32', data as Float32Array, shape),
      ]),
    );
    const results = await session.run(tensors, outputs);
    await session.release();
    return { stage: 'ran', outputs: outputs.map((name) => outputOf(results[name])) };
  } catch (error) {
    return { stage, message: error instanceof Error ? error.message : String(error) };
  }
}

function outputOf({ type, dims, data }: OrtNode.Tensor): Output {
  // Types of tensors have one name in both packages.
  return { dtype: type as DType, shape: dims, data: data as Output['data'] };
}
