/** A network whose channels are made unequal without changing what it computes. */
import { tensor, type Tensor } from 'zeropoint';
import type { Model, Node } from 'zeropoint/onnx';

/** Powers of two, so that the network stays the same to the last bit. */
const FACTORS = [2 ** -7, 1, 2 ** 6, 2 ** -3, 2 ** 8];

async function weightOf(node: Node): Promise<Tensor> {
  const source = node.inputs[1]?.constant;
  if (source === undefined) throw new Error(`${node.label} has no weight`);
  return source.load();
}

/** Makes output channel c of one convolution FACTORS[c] louder and what reads it quieter. */
async function unbalance(model: Model, first: Node, second: Node): Promise<void> {
  const [w1, w2] = [await weightOf(first), await weightOf(second)];
  const bias = await first.inputs[2]?.constant?.load();
  const channels = w1.shape[0];
  const perChannel = w1.size / channels;
  const factor = (c: number): number => FACTORS[c % FACTORS.length];
  const depthwise = w2.shape[1] === 1;
  const inner = w2.size / (w2.shape[0] * w2.shape[1]);
  const channelOf = (i: number): number => Math.floor(i / inner) % (depthwise ? channels : w2.shape[1]);
  const put = (node: Node, index: number, values: Float32Array, shape: readonly number[]): void => {
    const name = model.graph.freshName('unbalanced');
    node.setInput(index, model.graph.addInitializer(name, tensor(values, shape)));
  };
  put(
    first,
    1,
    Float32Array.from(w1.data as Float32Array, (w, i) => w * factor(Math.floor(i / perChannel))),
    w1.shape,
  );
  if (bias)
    put(
      first,
      2,
      Float32Array.from(bias.data as Float32Array, (b, c) => b * factor(c)),
      bias.shape,
    );
  put(
    second,
    1,
    Float32Array.from(w2.data as Float32Array, (w, i) => w / factor(channelOf(i))),
    w2.shape,
  );
}

/** A copy in which each convolution that another one follows has channels of very different loudness; same outputs. */
export async function unbalanced(model: Model): Promise<Model> {
  const copy = model.clone();
  const convs = [...copy.graph.nodes].filter((node) => node.opType === 'Conv');
  for (let i = 0; i + 1 < convs.length; i++) await unbalance(copy, convs[i], convs[i + 1]);
  return copy;
}
