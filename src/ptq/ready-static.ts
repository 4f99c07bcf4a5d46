/**
 * What a model becomes before it is calibrated: clean → raiseOpset (where the form needs it) → equalizeLayers. A plan
 * speaks of that model; from the original and the plan it is made again, so that a plan can be kept without it.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { BOOLEAN } from '../errors/option-rules.ts';
import { equalizeLayers } from '../algorithms/cross-layer-equalization.ts';
import type { Model } from '../graph/model.ts';
import { factoryFromJSON } from '../observers/index.ts';
import { clean } from '../passes/clean.ts';
import { raiseOpset } from '../passes/raise-opset.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { checkMapping } from './check-mapping.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import { isPerChannel, neededOpset } from './observer-spec.ts';
import type { Plan, PlannedNode } from './plan.ts';
import { MAPPING } from './option-rules.ts';
import { opsetToPrepare, planOf, PREPARE_RULES, type PrepareOptions } from './prepare.ts';

/** A model that can be calibrated and converted, and its plan. */
export interface ReadyModel {
  readonly model: Model;
  readonly plan: Plan;
  /** True if layers were equalized. */
  readonly equalized: boolean;
  /** Present if the model was said in a newer opset. */
  readonly raisedOpset?: { readonly from: number; readonly to: number };
}

/** What {@link readyStatic} is made with. */
export interface ReadyOptions extends PrepareOptions {
  /** Default: `staticQConfigMapping()`. */
  readonly qconfigMapping?: QConfigMapping;
  /** Default true. */
  readonly equalize?: boolean;
}

export const READY_RULES = {
  ...PREPARE_RULES,
  qconfigMapping: MAPPING,
  equalize: BOOLEAN,
} satisfies Record<keyof ReadyOptions, Rule>;

/** The first part of `quantizeStatic`, for those who calibrate and convert at different times. @throws what prepare throws */
export async function readyStatic(model: Model, options: ReadyOptions = {}): Promise<ReadyModel> {
  checkOptions('readyStatic', options, READY_RULES);
  const { qconfigMapping = staticQConfigMapping(), equalize = true, coverage = 'kernels' } = options;
  const cleaned = (await clean(model)).model;
  const raised = (await raiseOpset(cleaned, opsetToPrepare(cleaned, qconfigMapping, { coverage }))).model;
  // Names of the file count as well as those of the model that is prepared: cleaning takes nodes out.
  checkMapping(qconfigMapping, model, raised);
  return balanced(model, raised, planOf(raised, qconfigMapping, { coverage }), equalize);
}

/** As {@link readyStatic}, with the plan that it gave: the same model again. */
export async function readyForPlan(
  model: Model,
  plan: Plan,
  options: Pick<ReadyOptions, 'equalize'> = {},
): Promise<ReadyModel> {
  checkOptions('readyForPlan', options, { equalize: BOOLEAN });
  const { equalize = true } = options;
  const cleaned = (await clean(model)).model;
  const raised = (await raiseOpset(cleaned, Math.max(cleaned.opset, neededOpset(plan.nodes)))).model;
  return balanced(model, raised, plan, equalize);
}

async function balanced(original: Model, raised: Model, plan: Plan, equalize: boolean): Promise<ReadyModel> {
  const { model, modified } = equalize
    ? await equalizeLayers(raised, { perChannel: plan.nodes.every(hasWeightByChannel) })
    : { model: raised, modified: false };
  const opsets = { from: original.opset, to: raised.opset };
  return { model, plan, equalized: modified, ...(opsets.from !== opsets.to && { raisedOpset: opsets }) };
}

function hasWeightByChannel({ weight }: PlannedNode): boolean {
  return isPerChannel(factoryFromJSON(weight)());
}
