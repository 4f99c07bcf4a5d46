/** Runs the steps in order, or the one whose number is given. */
const STEPS = ['1-one-tensor', '2-symmetric-and-affine', '3-observers', '4-qconfig'];

const [only] = process.argv.slice(2);
const steps = only === undefined ? STEPS : STEPS.filter((step) => step.startsWith(`${only}-`));
if (steps.length === 0) {
  console.error(`tutorial: expected a step from 1 to ${STEPS.length}, got ${only}`);
  process.exitCode = 2;
}
for (const step of steps) {
  console.log(`\n== ${step} ${'='.repeat(60 - step.length)}\n`);
  await import(`./${step}.ts`);
}
