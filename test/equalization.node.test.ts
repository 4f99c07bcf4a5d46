/** Cross-layer equalization on a trained network whose channels were made unequal without changing what it computes. */
import { describe, expect, it } from 'vitest';
import { sqnr, type Tensor } from 'zeropoint';
import { clean, equalizeLayers, ortNode, quantizeStatic, type Model } from 'zeropoint/onnx';
import { unbalanced } from './support/unbalanced.ts';
import { zooInput, zooModel } from './support/zoo.ts';

async function outputs(model: Model, input: Tensor): Promise<Tensor> {
  const runner = await ortNode(model, { optimization: 'disabled' });
  const { logits } = await runner.run({ input });
  await runner.dispose();
  return logits;
}

describe('a network with unequal channels', () => {
  it('loses more than 10 dB by channel, and equalization brings back all but 2 dB', async () => {
    const { model: healthy } = await clean(await zooModel('digits_cnn'));
    const input = zooInput('digits_cnn');
    const expected = await outputs(healthy, input);
    const sick = await unbalanced(healthy);
    expect(await outputs(sick, input)).toEqual(expected);

    const { model: cured } = await equalizeLayers(sick);
    expect(await outputs(cured, input)).toEqual(expected);
    const error = async (model: Model, equalize: boolean): Promise<number> => {
      const { model: quantized, report } = await quantizeStatic(model, { batches: [{ input }], equalize });
      expect(report.equalized ?? false).toBe(equalize && model === sick);
      return sqnr(expected, await outputs(quantized, input));
    };
    const [best, worst, after] = [
      await error(healthy, true),
      await error(sick, false),
      await error(sick, true),
    ];
    expect(worst).toBeLessThan(best - 10);
    expect(after).toBeGreaterThan(best - 2);
  });
});
