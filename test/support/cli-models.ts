/** Small models and data for the tests of the command line. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { tensor, type Tensor } from 'zeropoint';
import { buildModel, encodeNpy, MemorySink, writeModel, type Model } from 'zeropoint/onnx';

/** Values in [-1, 1) that look random; the same for the same arguments. */
export function noise(shape: readonly number[], seed = 1): Tensor {
  let state = seed;
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return tensor(data, shape);
}

/** image [N, 1, 8, 8] → Conv, Relu, Flatten, Gemm → scores [N, 3] */
export function convNet(batch: number | string = 'N'): Model {
  return buildModel(
    (b) => {
      const image = b.input('image', 'float32', [batch, 1, 8, 8]);
      const kernel = b.constant('kernel', noise([8, 1, 3, 3], 2));
      const relu = b.op('Relu', [b.op('Conv', [image, kernel])]);
      const weight = b.constant('weight', noise([288, 3], 3));
      b.output(b.op('Gemm', [b.op('Flatten', [relu]), weight]), 'scores', 'float32', [batch, 3]);
    },
    { opset: 17, irVersion: 8 },
  );
}

/** image [N, 1, 8, 8] → Conv → features [N, 8, 6, 6] */
export function purelyConv(): Model {
  return buildModel(
    (b) => {
      const image = b.input('image', 'float32', ['N', 1, 8, 8]);
      const kernel = b.constant('kernel', noise([8, 1, 3, 3], 2));
      b.output(b.op('Conv', [image, kernel], {}, 'conv'), 'features', 'float32', ['N', 8, 6, 6]);
    },
    { opset: 17, irVersion: 8 },
  );
}

/** a [N, 16], b [N, 16] → MatMul of each, Add → y [N, 16] */
export function twoInputs(): Model {
  return buildModel(
    (b) => {
      const products = ['a', 'b'].map((name, i) => {
        const weight = b.constant(`w_${name}`, noise([16, 16], i + 1));
        return b.op('MatMul', [b.input(name, 'float32', ['N', 16]), weight]);
      });
      b.output(b.op('Add', products), 'y', 'float32', ['N', 16]);
    },
    { opset: 17, irVersion: 8 },
  );
}

export async function saveModel(
  folder: string,
  model: Model = convNet(),
  name = 'model.onnx',
): Promise<string> {
  const path = join(folder, name);
  await writeModel(model, path);
  return path;
}

/** model.onnx and its external data, by name, with the name of the latter that torch.onnx gives it. */
export async function torchNamed(model: Model): Promise<Readonly<Record<string, Uint8Array>>> {
  const sink = new MemorySink('model.onnx');
  await writeModel(model, sink, { externalData: { threshold: 0 } });
  // Of the same length, so that no other byte changes.
  const text = Buffer.from(sink.bytes).toString('latin1').replaceAll('model.onnx_data', 'model.onnx.data');
  const data = sink.files.get('model.onnx_data') ?? new Uint8Array();
  return { 'model.onnx': Buffer.from(text, 'latin1'), 'model.onnx.data': data };
}

/** An .npz file, packed. */
export function saveNpz(folder: string, arrays: Readonly<Record<string, Tensor>>, name = 'data.npz'): string {
  const path = join(folder, name);
  const files = Object.entries(arrays).map(([array, values]) => [`${array}.npy`, encodeNpy(values)]);
  writeFileSync(path, zipSync(Object.fromEntries(files)));
  return path;
}
