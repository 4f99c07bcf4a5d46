/**
 * The messages of onnx.proto (onnx 1.23, IR version 14) that we look into, with the field numbers given there. Fields that are
 * missing here (doc_string, metadata_props, training_info, quantization_annotation, device configurations, ...) and
 * fields of newer versions are kept and written back by the layer below.
 */
import { schema, type Schema, type Span, type WireRecord } from '../protobuf/schema.ts';

/** A type of n bytes is decoded to at most n / 2 dimensions. */
const TYPE_BYTE = 24;

// What messages cost, see protobuf/limits.ts: in bytes, found by measuring.
const NODE_COST = 3000;
const INPUT_COST = 100;
/** A value, with its uses and names. */
const VALUE_COST = 700;
const GRAPH_COST = 3000;
const FUNCTION_COST = 6000;
const ATTRIBUTE_COST = 500;
const TENSOR_COST = 1000;

export interface EntryRecord extends WireRecord {
  key?: string;
  value?: string;
}

export const ENTRY: Schema<EntryRecord> = schema('StringStringEntryProto', {
  1: { key: 'key', type: 'string' },
  2: { key: 'value', type: 'string' },
});

export interface OpsetRecord extends WireRecord {
  domain?: string;
  version?: number;
}

export const OPSET: Schema<OpsetRecord> = schema('OperatorSetIdProto', {
  1: { key: 'domain', type: 'string' },
  2: { key: 'version', type: 'int' },
});

export interface TensorRecord extends WireRecord {
  dims?: number[];
  data_type?: number;
  segment?: Uint8Array;
  float_data?: Span[];
  int32_data?: Span[];
  string_data?: Span[];
  int64_data?: Span[];
  name?: string;
  raw_data?: Span;
  double_data?: Span[];
  uint64_data?: Span[];
  external_data?: EntryRecord[];
  data_location?: number;
}

export const TENSOR: Schema<TensorRecord> = schema(
  'TensorProto',
  {
    1: { key: 'dims', type: 'int', repeated: true },
    2: { key: 'data_type', type: 'int' },
    3: { key: 'segment', type: 'bytes' },
    4: { key: 'float_data', type: 'span', repeated: true },
    5: { key: 'int32_data', type: 'span', repeated: true },
    6: { key: 'string_data', type: 'spans', repeated: true },
    7: { key: 'int64_data', type: 'span', repeated: true },
    8: { key: 'name', type: 'string' },
    9: { key: 'raw_data', type: 'span' },
    10: { key: 'double_data', type: 'span', repeated: true },
    11: { key: 'uint64_data', type: 'span', repeated: true },
    13: { key: 'external_data', type: 'message', repeated: true, of: () => ENTRY },
    14: { key: 'data_location', type: 'int' },
  },
  TENSOR_COST,
);

export interface SparseTensorRecord extends WireRecord {
  values?: TensorRecord;
  indices?: TensorRecord;
  dims?: number[];
}

export const SPARSE_TENSOR: Schema<SparseTensorRecord> = schema('SparseTensorProto', {
  1: { key: 'values', type: 'message', of: () => TENSOR },
  2: { key: 'indices', type: 'message', of: () => TENSOR },
  3: { key: 'dims', type: 'int', repeated: true },
});

export interface ValueInfoRecord extends WireRecord {
  name?: string;
  /** A TypeProto, encoded: types are immutable, so most go back as they came. */
  type?: Uint8Array;
}

export const VALUE_INFO: Schema<ValueInfoRecord> = schema(
  'ValueInfoProto',
  {
    1: { key: 'name', type: 'string' },
    2: { key: 'type', type: 'bytes', byteCost: TYPE_BYTE },
  },
  VALUE_COST,
);

export interface AttributeRecord extends WireRecord {
  name?: string;
  f?: number;
  i?: bigint;
  s?: Uint8Array;
  t?: TensorRecord;
  g?: GraphRecord;
  floats?: number[];
  ints?: bigint[];
  strings?: Uint8Array[];
  tensors?: TensorRecord[];
  graphs?: GraphRecord[];
  tp?: Uint8Array;
  type_protos?: Uint8Array[];
  type?: number;
  ref_attr_name?: string;
  sparse_tensor?: SparseTensorRecord;
  sparse_tensors?: SparseTensorRecord[];
}

export const ATTRIBUTE: Schema<AttributeRecord> = schema(
  'AttributeProto',
  {
    1: { key: 'name', type: 'string' },
    2: { key: 'f', type: 'fixed32' },
    3: { key: 'i', type: 'int64' },
    4: { key: 's', type: 'bytes' },
    5: { key: 't', type: 'message', of: () => TENSOR },
    6: { key: 'g', type: 'message', of: () => GRAPH },
    7: { key: 'floats', type: 'fixed32', repeated: true },
    8: { key: 'ints', type: 'int64', repeated: true },
    9: { key: 'strings', type: 'bytes', repeated: true },
    10: { key: 'tensors', type: 'message', repeated: true, of: () => TENSOR },
    11: { key: 'graphs', type: 'message', repeated: true, of: () => GRAPH },
    14: { key: 'tp', type: 'bytes', byteCost: TYPE_BYTE },
    15: { key: 'type_protos', type: 'bytes', repeated: true, byteCost: TYPE_BYTE },
    20: { key: 'type', type: 'int' },
    21: { key: 'ref_attr_name', type: 'string' },
    22: { key: 'sparse_tensor', type: 'message', of: () => SPARSE_TENSOR },
    23: { key: 'sparse_tensors', type: 'message', repeated: true, of: () => SPARSE_TENSOR },
  },
  ATTRIBUTE_COST,
);

export interface NodeRecord extends WireRecord {
  input?: string[];
  output?: string[];
  name?: string;
  op_type?: string;
  attribute?: AttributeRecord[];
  domain?: string;
  overload?: string;
}

export const NODE: Schema<NodeRecord> = schema(
  'NodeProto',
  {
    1: { key: 'input', type: 'string', repeated: true, cost: INPUT_COST },
    2: { key: 'output', type: 'string', repeated: true, cost: VALUE_COST },
    3: { key: 'name', type: 'string' },
    4: { key: 'op_type', type: 'string' },
    5: { key: 'attribute', type: 'message', repeated: true, of: () => ATTRIBUTE },
    7: { key: 'domain', type: 'string' },
    8: { key: 'overload', type: 'string' },
  },
  NODE_COST,
);

export interface GraphRecord extends WireRecord {
  node?: NodeRecord[];
  name?: string;
  initializer?: TensorRecord[];
  input?: ValueInfoRecord[];
  output?: ValueInfoRecord[];
  value_info?: ValueInfoRecord[];
  sparse_initializer?: SparseTensorRecord[];
}

export const GRAPH: Schema<GraphRecord> = schema(
  'GraphProto',
  {
    1: { key: 'node', type: 'message', repeated: true, of: () => NODE },
    2: { key: 'name', type: 'string' },
    5: { key: 'initializer', type: 'message', repeated: true, of: () => TENSOR },
    11: { key: 'input', type: 'message', repeated: true, of: () => VALUE_INFO },
    12: { key: 'output', type: 'message', repeated: true, of: () => VALUE_INFO },
    13: { key: 'value_info', type: 'message', repeated: true, of: () => VALUE_INFO },
    15: { key: 'sparse_initializer', type: 'message', repeated: true, of: () => SPARSE_TENSOR },
  },
  GRAPH_COST,
);

export interface FunctionRecord extends WireRecord {
  name?: string;
  input?: string[];
  output?: string[];
  attribute?: string[];
  node?: NodeRecord[];
  opset_import?: OpsetRecord[];
  domain?: string;
  attribute_proto?: AttributeRecord[];
  value_info?: ValueInfoRecord[];
  overload?: string;
}

export const FUNCTION: Schema<FunctionRecord> = schema(
  'FunctionProto',
  {
    1: { key: 'name', type: 'string' },
    4: { key: 'input', type: 'string', repeated: true, cost: VALUE_COST },
    5: { key: 'output', type: 'string', repeated: true, cost: VALUE_COST },
    6: { key: 'attribute', type: 'string', repeated: true },
    7: { key: 'node', type: 'message', repeated: true, of: () => NODE },
    9: { key: 'opset_import', type: 'message', repeated: true, of: () => OPSET },
    10: { key: 'domain', type: 'string' },
    11: { key: 'attribute_proto', type: 'message', repeated: true, of: () => ATTRIBUTE },
    12: { key: 'value_info', type: 'message', repeated: true, of: () => VALUE_INFO },
    13: { key: 'overload', type: 'string' },
  },
  FUNCTION_COST,
);

export interface ModelRecord extends WireRecord {
  ir_version?: number;
  producer_name?: string;
  producer_version?: string;
  domain?: string;
  model_version?: bigint;
  doc_string?: string;
  graph?: GraphRecord;
  opset_import?: OpsetRecord[];
  metadata_props?: EntryRecord[];
  functions?: FunctionRecord[];
}

export const MODEL: Schema<ModelRecord> = schema('ModelProto', {
  1: { key: 'ir_version', type: 'int' },
  2: { key: 'producer_name', type: 'string' },
  3: { key: 'producer_version', type: 'string' },
  4: { key: 'domain', type: 'string' },
  5: { key: 'model_version', type: 'int64' },
  6: { key: 'doc_string', type: 'string' },
  7: { key: 'graph', type: 'message', of: () => GRAPH },
  8: { key: 'opset_import', type: 'message', repeated: true, of: () => OPSET },
  14: { key: 'metadata_props', type: 'message', repeated: true, of: () => ENTRY },
  25: { key: 'functions', type: 'message', repeated: true, of: () => FUNCTION },
});

export interface DimRecord extends WireRecord {
  dim_value?: number;
  dim_param?: string;
}

const DIM: Schema<DimRecord> = schema('Dimension', {
  1: { key: 'dim_value', type: 'int' },
  2: { key: 'dim_param', type: 'string' },
});

export interface ShapeRecord extends WireRecord {
  dim?: DimRecord[];
}

const SHAPE: Schema<ShapeRecord> = schema('TensorShapeProto', {
  1: { key: 'dim', type: 'message', repeated: true, of: () => DIM },
});

export interface TensorTypeRecord extends WireRecord {
  elem_type?: number;
  shape?: ShapeRecord;
}

const TENSOR_TYPE: Schema<TensorTypeRecord> = schema('TypeProto.Tensor', {
  1: { key: 'elem_type', type: 'int' },
  2: { key: 'shape', type: 'message', of: () => SHAPE },
});

export interface ElementTypeRecord extends WireRecord {
  elem_type?: TypeRecord;
}

const ELEMENT_TYPE: Schema<ElementTypeRecord> = schema('TypeProto.Sequence', {
  1: { key: 'elem_type', type: 'message', of: () => TYPE },
});

export interface MapTypeRecord extends WireRecord {
  key_type?: number;
  value_type?: TypeRecord;
}

const MAP_TYPE: Schema<MapTypeRecord> = schema('TypeProto.Map', {
  1: { key: 'key_type', type: 'int' },
  2: { key: 'value_type', type: 'message', of: () => TYPE },
});

export interface OpaqueTypeRecord extends WireRecord {
  domain?: string;
  name?: string;
}

const OPAQUE_TYPE: Schema<OpaqueTypeRecord> = schema('TypeProto.Opaque', {
  1: { key: 'domain', type: 'string' },
  2: { key: 'name', type: 'string' },
});

export interface TypeRecord extends WireRecord {
  tensor_type?: TensorTypeRecord;
  sequence_type?: ElementTypeRecord;
  map_type?: MapTypeRecord;
  opaque_type?: OpaqueTypeRecord;
  sparse_tensor_type?: TensorTypeRecord;
  optional_type?: ElementTypeRecord;
}

export const TYPE: Schema<TypeRecord> = schema('TypeProto', {
  1: { key: 'tensor_type', type: 'message', of: () => TENSOR_TYPE },
  4: { key: 'sequence_type', type: 'message', of: () => ELEMENT_TYPE },
  5: { key: 'map_type', type: 'message', of: () => MAP_TYPE },
  7: { key: 'opaque_type', type: 'message', of: () => OPAQUE_TYPE },
  8: { key: 'sparse_tensor_type', type: 'message', of: () => TENSOR_TYPE },
  9: { key: 'optional_type', type: 'message', of: () => ELEMENT_TYPE },
});
