/** What is done to every model before quantization: nothing here changes a result beyond rounding. */
import type { Model } from '../graph/model.ts';
import { eliminateIdentityInPlace } from './eliminate-identity.ts';
import { foldConstantsInPlace } from './fold-constants.ts';
import { foldRecurrentWeightsInPlace } from './fold-recurrent-weights.ts';
import { foldBatchNormalizationInPlace } from './fold-batch-normalization.ts';
import { inlineFunctionsInPlace } from './inline-functions.ts';
import { loadSmallConstantsInPlace } from './load-small-constants.ts';
import { mergeDuplicateInitializersInPlace } from './merge-duplicate-initializers.ts';
import { onCopy, sequence, type Edit, type Pass } from './pass.ts';
import { removeUnusedInPlace } from './remove-unused.ts';

const EDITS: Edit = sequence(
  // First, so that all others see what functions do.
  inlineFunctionsInPlace,
  loadSmallConstantsInPlace,
  eliminateIdentityInPlace,
  foldConstantsInPlace,
  foldRecurrentWeightsInPlace,
  foldBatchNormalizationInPlace,
  // Late: what folding makes equal is merged too, and what only one layer reads can be folded.
  mergeDuplicateInitializersInPlace,
  async (model) => ({ modified: removeUnusedInPlace(model), skipped: [] }),
);

/**
 * Every pass that only simplifies: local functions, identities, constant expressions, batch normalization, equal weights,
 * unused nodes. All of them on one copy: of a model with many nodes copies take longer than what is done to them.
 */
export const clean: Pass = (model: Model) => onCopy(model, EDITS);
