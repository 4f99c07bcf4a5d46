// Step 4: a QConfig says which observer an activation gets and which a weight; a mapping says which QConfig a node gets.
import {
  defaultDynamicQConfig,
  defaultPerChannelQConfig,
  defaultPerChannelWeightObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  perChannelDynamicQConfig,
  QConfig,
  QConfigMapping,
} from 'zeropoint';

// Factories, not observers: every tensor gets one of its own.
const qconfig = new QConfig({
  activation: MovingAverageMinMaxObserver.withArgs({ qscheme: 'per_tensor_affine' }),
  weight: MovingAveragePerChannelMinMaxObserver.withArgs({ qscheme: 'per_channel_symmetric' }),
});
console.log('Our own:');
console.log(qconfig.toString());

console.log('\nDefaults, by the names they have in PyTorch:');
console.log(`defaultPerChannelQConfig =\n${defaultPerChannelQConfig}`);
console.log(`defaultDynamicQConfig =\n${defaultDynamicQConfig}`);
console.log(`perChannelDynamicQConfig =\n${perChannelDynamicQConfig}`);
console.log(`defaultPerChannelWeightObserver =\n${defaultPerChannelWeightObserver}`);

const observer = qconfig.weight();
console.log(`\nA factory makes observers: ${observer}`);

// The most particular rule wins: the name of a node before a pattern, a pattern before the op type, that before the rest.
const mapping = new QConfigMapping()
  .setGlobal(qconfig)
  .setObjectType('Conv', defaultPerChannelQConfig)
  .setModuleNameRegex('^head/', null);
console.log('\nA mapping:');
console.log(mapping.toString());
for (const node of [
  { opType: 'MatMul', name: 'body/mix' },
  { opType: 'Conv', name: 'body/stem' },
  { opType: 'Conv', name: 'head/conv' },
]) {
  const found = mapping.resolve({ ...node, index: 0 });
  const answer =
    found === qconfig ? 'our own' : found === defaultPerChannelQConfig ? 'the default' : 'stays in float';
  console.log(`${node.name} (${node.opType}): ${answer}`);
}
