/** What an operator becomes when its weights are stored in 8 bits and its activations get ranges at run time. */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import type { ObserverSpec } from '../plan.ts';
import type { DynamicWriter } from './writer.ts';

export interface DynamicForm {
  /** Whether input 0 is quantized in front of the node (else the new node does that itself, or there is nothing to). */
  readonly quantizesInput: boolean;
  /** Why nodes stay in float unless somebody asks for the form. */
  readonly onRequest?: string;
  /** Why a node stays in float; undefined if this form can say it. `coded`: values that earlier nodes leave as integers, too. */
  obstacle(node: Node, coded: ReadonlySet<Value>): string | undefined;
  /** What later nodes find as integers, if the form offers that. */
  codes?(node: Node): Value;
  /** Puts the form in the place of `node`. `weight` says how its weights are quantized. */
  rewrite(node: Node, weight: ObserverSpec, writer: DynamicWriter): Promise<void>;
}
