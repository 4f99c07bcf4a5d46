import { describe, expect, it } from 'vitest';
import { buildModel } from '../../graph/build.ts';
import type { Model } from '../../graph/model.ts';
import { LastSteps } from './last-steps.ts';

const empty = (): Model => buildModel(() => undefined);

/** Runs recipes of letters in turn; gives which steps were really done. */
async function done(...recipes: readonly string[]): Promise<readonly string[]> {
  const last = new LastSteps<string, Model>();
  const [first, count]: [Model, string[]] = [empty(), []];
  for (const recipe of recipes) {
    let model = first;
    for (const [index, step] of [...recipe].entries()) {
      model = await last.run(index, model, step, async () => {
        count.push(step);
        return empty();
      });
    }
  }
  return count;
}

describe('LastSteps', () => {
  it('takes over what the recipe before began with, and nothing behind a step that differs', async () => {
    expect(await done('ab', 'abc')).toEqual(['a', 'b', 'c']);
    expect(await done('ab', 'ab')).toEqual(['a', 'b']);
    expect(await done('ab', 'cb')).toEqual(['a', 'b', 'c', 'b']);
  });

  it('holds the last recipe only', async () => {
    expect(await done('a', 'b', 'a')).toEqual(['a', 'b', 'a']);
  });

  it('a step of which the work failed is done again', async () => {
    const last = new LastSteps<string, number>();
    const model = empty();
    const failing = last.run(0, model, 'a', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await last.run(0, model, 'a', () => Promise.resolve(1))).toBe(1);
  });
});
