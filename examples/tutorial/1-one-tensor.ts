// Step 1: one tensor, quantized. A code q stands for the number (q - zeroPoint) · scale.
import { quantizePerChannel, quantizePerTensor, tensor } from 'zeropoint';

const x = tensor([
  [0.5827, 0.8619],
  [0.3827, -0.1982],
  [-0.8213, 0.6351],
]);
console.log('The tensor:');
console.log(x.toString());

// One scale for all: steps of a hundredth, from -1.28 to 1.27.
const perTensor = quantizePerTensor(x, 1e-2, 0, 'qint8');
console.log('\nPer tensor, scale 0.01:');
console.log(perTensor.toString());
console.log('Its codes:');
console.log(perTensor.intRepr().toString());

// One scale a row. Row 1 has steps of a thousandth: finer, but its range ends at ±0.128, so both values are clipped.
// Row 2 has steps of a twentieth: coarse, with plenty of room.
const perChannel = quantizePerChannel(x, [1e-2, 1e-3, 5e-2], [0, 0, 0], 0, 'qint8');
console.log('\nPer channel, scales 0.01, 0.001 and 0.05:');
console.log(perChannel.toString());

// Quantizing is lossy, and how lossy follows from the scale: inside the range at most half a step is lost.
const lost = perTensor.dequantize().data.map((value, i) => Math.abs(value - Number(x.data[i])));
console.log(`\nLargest error per tensor: ${Math.max(...lost).toFixed(4)} (half a step is 0.0050)`);
