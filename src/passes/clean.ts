/** What is done to every model before quantization: nothing here changes a result beyond rounding. */
import { eliminateIdentity } from './eliminate-identity.ts';
import { foldConstants } from './fold-constants.ts';
import { foldRecurrentWeights } from './fold-recurrent-weights.ts';
import { foldBatchNormalization } from './fold-batch-normalization.ts';
import { inlineFunctions } from './inline-functions.ts';
import { loadSmallConstants } from './load-small-constants.ts';
import { mergeDuplicateInitializers } from './merge-duplicate-initializers.ts';
import { sequence, type Pass } from './pass.ts';
import { removeUnused } from './remove-unused.ts';

/** Every pass that only simplifies: local functions, identities, constant expressions, batch normalization, equal weights, unused nodes. */
export const clean: Pass = sequence(
  // First, so that all others see what functions do.
  inlineFunctions,
  loadSmallConstants,
  eliminateIdentity,
  foldConstants,
  foldRecurrentWeights,
  foldBatchNormalization,
  // Late: what folding makes equal is merged too, and what only one layer reads can be folded.
  mergeDuplicateInitializers,
  removeUnused,
);
