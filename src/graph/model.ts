/** A model: the main graph, the operator sets it speaks, local functions and facts about its origin. */
import { withMethods } from '../errors/option-rules.ts';
import type { Attribute } from './attribute.ts';
import { cloneFunction, cloneGraph } from './clone.ts';
import type { Graph } from './graph.ts';

/** A local function (ONNX IR 8): a body that nodes call by `domain`, `name` and `overload`. */
export interface ModelFunction {
  readonly domain: string;
  readonly name: string;
  readonly overload: string;
  /** Inputs and outputs without types; no initializers. */
  readonly body: Graph;
  readonly opsetImports: Map<string, number>;
  /** Attributes that a call must give, and those that it may, with their defaults. */
  readonly attributes: readonly string[];
  readonly attributeDefaults: ReadonlyMap<string, Attribute>;
  /** What the format layer keeps to write the function as it was read; opaque here. */
  origin: unknown;
}

/** A model; `graph` is its main graph. */
export class Model {
  irVersion: number;
  /** Operator set version by domain; '' is ONNX's own. */
  readonly opsetImports: Map<string, number>;
  producerName = '';
  producerVersion = '';
  domain = '';
  modelVersion = 0n;
  docString = '';
  /** metadata_props. */
  readonly metadata: Map<string, string>;
  readonly graph: Graph;
  readonly functions: ModelFunction[];
  /** What the format layer keeps to write the model as it was read; copied by clones, opaque here. */
  origin: unknown;

  constructor(
    graph: Graph,
    options: {
      irVersion: number;
      opsetImports: Iterable<readonly [string, number]>;
      metadata?: Iterable<readonly [string, string]>;
      functions?: readonly ModelFunction[];
    },
  ) {
    this.graph = graph;
    graph.model = this;
    this.irVersion = options.irVersion;
    this.opsetImports = new Map(options.opsetImports);
    this.metadata = new Map(options.metadata);
    this.functions = [...(options.functions ?? [])];
  }

  /** Version of ONNX's own operator set; 0 if the model imports none. */
  get opset(): number {
    return this.opsetImports.get('') ?? 0;
  }

  /** The local function that a node calls; undefined for operators. */
  findFunction(domain: string, name: string, overload = ''): ModelFunction | undefined {
    return this.functions.find((f) => f.domain === domain && f.name === name && f.overload === overload);
  }

  /** A copy with its own nodes and values; the buffers and files behind constants are shared. */
  clone(): Model {
    const copy = new Model(cloneGraph(this.graph), { ...this, functions: this.functions.map(cloneFunction) });
    copy.producerName = this.producerName;
    copy.producerVersion = this.producerVersion;
    copy.domain = this.domain;
    copy.modelVersion = this.modelVersion;
    copy.docString = this.docString;
    copy.origin = this.origin;
    return copy;
  }
}

const MODEL = withMethods('a Model, as readModel gives', 'clone');

/** @throws TypeError, naming the function `where`, for anything else than a model */
export function checkModel(where: string, model: unknown): void {
  MODEL(model, { where, name: 'model' });
}
