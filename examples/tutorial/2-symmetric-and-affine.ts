// Step 2: symmetric or affine? The same two observers on two kinds of data answer it.
import { writeFileSync } from 'node:fs';
import { MinMaxObserver, quantizePerTensor, sqnr, tensor } from 'zeropoint';
import { drawPanels, type Panel } from './picture.ts';
import { normal, rectified } from './random.ts';

// Activations behind a ReLU: nothing below zero. Weights: around zero, both ways.
const data = {
  activations: rectified(20_000, 0.4, 1, 1),
  weights: normal(20_000, 0, 0.12, 2),
} as const;

const schemes = {
  symmetric: new MinMaxObserver({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' }),
  affine: new MinMaxObserver({ dtype: 'quint8', qscheme: 'per_tensor_affine' }),
} as const;

const panels: Panel[] = [];
for (const [what, values] of Object.entries(data)) {
  for (const [scheme, observer] of Object.entries(schemes)) {
    const x = tensor(values);
    observer.reset();
    observer.observe(x);
    const { scale, zeroPoint } = observer.calculateQParams();
    const q = quantizePerTensor(x, scale[0], zeroPoint[0], observer.dtype);
    const [low, high] = observer.dtype === 'qint8' ? [-128, 127] : [0, 255];
    const range = [(low - zeroPoint[0]) * scale[0], (high - zeroPoint[0]) * scale[0]] as const;
    const codes = new Set(q.intRepr().data as Int8Array).size;
    const note = `step ${scale[0].toFixed(5)}, ${codes} of 256 codes used, ${sqnr(x, q).toFixed(1)} dB`;
    console.log(`${what.padEnd(11)} ${scheme.padEnd(9)} ${note}`);
    panels.push({ title: `${what}, ${scheme}`, note, values, range });
  }
}

writeFileSync(new URL('./symmetric-and-affine.svg', import.meta.url), drawPanels(panels));
console.log('\nThe picture is in symmetric-and-affine.svg.');

console.log(`
Why is symmetric wasteful for activations? A symmetric grid reaches as far below zero as above it. Behind a ReLU there is
nothing below zero, so half of the codes stand for numbers that never come: the other half must do with steps twice as
wide, which costs 6 dB, one bit of the eight. An affine grid moves its zero point to the end of the range and spends all
codes on what is there. Weights lie on both sides of zero, so a symmetric grid wastes next to nothing on them, and its zero
point of 0 makes the integer products cheaper: no correction term for it is needed. Hence the usual choice: affine
activations, symmetric weights.`);
