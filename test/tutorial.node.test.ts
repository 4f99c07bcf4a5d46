/** Runs each step of the tutorial and holds what it prints, and the picture it draws, to what is stored beside it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';

const STEPS = ['1-one-tensor', '2-symmetric-and-affine', '3-observers', '4-qconfig'];
const PICTURE = new URL('../examples/tutorial/symmetric-and-affine.svg', import.meta.url);
/** Set to write what the steps print instead of comparing it. */
const UPDATE = process.env.UPDATE_TUTORIAL === '1';

const read = (url: URL): string => readFileSync(url, 'utf8');

afterEach(() => {
  vi.restoreAllMocks();
});

describe('tutorial', () => {
  it.each(STEPS)('%s prints what is stored', async (step) => {
    const lines: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((text: string) => void lines.push(text));
    const picture = UPDATE ? '' : read(PICTURE);
    await import(`../examples/tutorial/${step}.ts`);
    const stored = new URL(`../examples/tutorial/${step}.txt`, import.meta.url);
    const printed = `${lines.join('\n')}\n`;
    if (UPDATE) writeFileSync(stored, printed);
    expect(printed).toBe(read(stored));
    if (!UPDATE) expect(read(PICTURE)).toBe(picture);
  });

  it('1-one-tensor prints the numbers of the material', () => {
    const text = read(new URL('../examples/tutorial/1-one-tensor.txt', import.meta.url));
    expect(text).toMatch(
      /\[\[ 0\.5800, {2}0\.8600\],\s+\[ 0\.3800, -0\.2000\],\s+\[-0\.8200, {2}0\.6400\]\]/,
    );
    expect(text).toMatch(
      /\[\[ 0\.5800, {2}0\.8600\],\s+\[ 0\.1270, -0\.1280\],\s+\[-0\.8000, {2}0\.6500\]\]/,
    );
  });

  it('3-observers gives the figures of PyTorch 2.13', () => {
    const text = read(new URL('../examples/tutorial/3-observers.txt', import.meta.url));
    for (const figure of [
      '0.014548812061548233',
      '149',
      '0.014737018384039402',
      '151',
      '0.016932867467403412, 0.010971206240355968, 0.005674237385392189',
      '128, 128, 128',
    ]) {
      expect(text).toContain(figure);
    }
  });

  it('2-symmetric-and-affine draws four panels', () => {
    expect(read(PICTURE).match(/font-weight="bold"/g)).toHaveLength(4);
  });
});
