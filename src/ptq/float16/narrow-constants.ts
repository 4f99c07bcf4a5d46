/** Makes the constants of an assignment narrow, one at a time; one that several values share is converted once. */
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import type { Value } from '../../graph/value.ts';
import { tensorType } from '../../graph/value-type.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { JobOptions } from '../job.ts';
import type { Assignment } from './assign.ts';
import type { ClampRange } from './clamp-rules.ts';
import { narrowSource } from './half-source.ts';
import { outputTypeOf } from './output-types.ts';
import type { NarrowedConstant } from './report.ts';
import type { HalfDType } from './signatures.ts';

/** Edits the constants and types of a model, and counts. */
export class ConstantNarrower {
  readonly #assignment: Assignment;
  readonly #dtype: HalfDType;
  readonly #range: ClampRange;
  readonly #job: JobOptions;
  readonly #known = new Map<TensorSource, TensorSource>();
  readonly outOfRange: NarrowedConstant[] = [];
  bytesBefore = 0;

  constructor(assignment: Assignment, dtype: HalfDType, range: ClampRange, job: JobOptions) {
    this.#assignment = assignment;
    this.#dtype = dtype;
    this.#range = range;
    this.#job = job;
  }

  /** Constants that were converted, shared ones once. */
  get count(): number {
    return this.#known.size;
  }

  /** Everything in one graph; the graphs inside are others. */
  async convert(graph: Graph): Promise<void> {
    for (const value of graph.initializers) {
      if (this.#assignment.width(value) === 'half') await this.#initializer(value);
    }
    for (const node of graph.nodes) await this.#output(node);
    for (const value of graph.values) this.#type(value);
  }

  async #initializer(value: Value): Promise<void> {
    const { initializer, sparseInitializer } = value;
    if (initializer !== undefined) value.initializer = await this.#narrow(initializer, value.name);
    if (sparseInitializer !== undefined) {
      const values = await this.#narrow(sparseInitializer.values, value.name);
      value.sparseInitializer = { ...sparseInitializer, values };
    }
  }

  /** What a node says itself about the type of its output. */
  async #output(node: Node): Promise<void> {
    const [output] = node.outputs;
    const width = output && this.#assignment.width(output);
    if (output === undefined || width === undefined) return;
    const dtype = width === 'half' ? this.#dtype : undefined;
    await outputTypeOf(node)?.write(node, dtype, (source) => this.#narrow(source, output.name));
  }

  #type(value: Value): void {
    const { type } = value;
    if (type === undefined || this.#assignment.width(value) !== 'half') return;
    if (type.kind === 'tensor') value.type = tensorType(this.#dtype, type.dims);
    else if (type.kind === 'sparse_tensor') value.type = { ...type, elementType: this.#dtype };
  }

  async #narrow(source: TensorSource, name: string): Promise<TensorSource> {
    const known = this.#known.get(source);
    if (known !== undefined) return known;
    this.#job.signal?.throwIfAborted();
    const { source: narrow, scan } = await narrowSource(source, this.#dtype, this.#range, this.#job.signal);
    this.#known.set(source, narrow);
    this.bytesBefore += source.byteLength;
    if (scan.clamped > 0 || scan.underflowed > 0) {
      this.outOfRange.push({ name, elements: elementCount(source.shape), ...scan });
    }
    this.#job.onProgress?.({ stage: 'convert', done: this.count, unit: 'weights' });
    return narrow;
  }
}
