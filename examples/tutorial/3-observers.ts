// Step 3: where do scale and zero point come from? Observers watch the data go by.
import {
  HistogramObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  tensor,
} from 'zeropoint';

// Three batches of three samples, as torch.manual_seed(0) draws them from a normal distribution.
const batches = [
  [
    [1.5409960746765137, -0.293428897857666, -2.1787893772125244, 0.5684312582015991],
    [-1.0845223665237427, -1.3985954523086548, 0.40334683656692505, 0.8380263447761536],
    [-0.7192575931549072, -0.40334352850914, -0.5966353416442871, 0.18203648924827576],
  ],
  [
    [-0.8566746115684509, 1.1006041765213013, -1.0711873769760132, 0.1227012425661087],
    [-0.5663174986839294, 0.3731146454811096, -0.8919953107833862, -1.5091077089309692],
    [0.3703935444355011, 1.4565025568008423, 0.9398099184036255, 0.7748488187789917],
  ],
  [
    [0.19186942279338837, 1.2637947797775269, -1.2904350757598877, -0.7911027073860168],
    [-0.02087947353720665, -0.7184800505638123, 0.5186367630958557, -1.3125219345092773],
    [0.1919950693845749, 0.5427713394165039, -2.2187793254852295, 0.2589845359325409],
  ],
];

const observers = [
  // Follows the range slowly: new = old + 0.01 · (batch - old). One strange batch does little.
  new MovingAverageMinMaxObserver({ qscheme: 'per_tensor_affine' }),
  // Keeps a histogram and looks for the range with the least squared error.
  new HistogramObserver(),
  // A range for each row. With the default dtype quint8, the zero point of a symmetric scheme is 128.
  new MovingAveragePerChannelMinMaxObserver({ qscheme: 'per_channel_symmetric' }),
];

for (const observer of observers) {
  for (const batch of batches) observer.observe(tensor(batch));
  const { scale, zeroPoint } = observer.calculateQParams();
  console.log(observer.toString());
  console.log(`  scale      ${[...scale].join(', ')}`);
  console.log(`  zero point ${[...zeroPoint].join(', ')}\n`);
}

console.log(`The moving average starts at the range of the first batch and hardly moves in three. The histogram has seen every
value and could cut outliers off; in 36 values there are none worth cutting. The last one keeps three ranges, one a row,
so that a quiet row need not share the steps of a loud one.`);
