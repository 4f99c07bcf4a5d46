/** TensorProto.DataType (onnx.proto): number, our name, and the field that holds the elements when not raw_data. */
import type { ElementType } from '../../graph/element-type.ts';
import type { TensorRecord } from './schema.ts';

export type DataField = Extract<
  keyof TensorRecord,
  'float_data' | 'int32_data' | 'string_data' | 'int64_data' | 'double_data' | 'uint64_data'
>;

interface DataTypeRow {
  readonly number: number;
  readonly field: DataField;
}

/** Every type that onnx 1.23 has. Fields as the comments on TensorProto.*_data there say. */
export const DATA_TYPES = {
  undefined: { number: 0, field: 'int32_data' },
  float32: { number: 1, field: 'float_data' },
  uint8: { number: 2, field: 'int32_data' },
  int8: { number: 3, field: 'int32_data' },
  uint16: { number: 4, field: 'int32_data' },
  int16: { number: 5, field: 'int32_data' },
  int32: { number: 6, field: 'int32_data' },
  int64: { number: 7, field: 'int64_data' },
  string: { number: 8, field: 'string_data' },
  bool: { number: 9, field: 'int32_data' },
  float16: { number: 10, field: 'int32_data' },
  float64: { number: 11, field: 'double_data' },
  uint32: { number: 12, field: 'uint64_data' },
  uint64: { number: 13, field: 'uint64_data' },
  complex64: { number: 14, field: 'float_data' },
  complex128: { number: 15, field: 'double_data' },
  bfloat16: { number: 16, field: 'int32_data' },
  float8e4m3fn: { number: 17, field: 'int32_data' },
  float8e4m3fnuz: { number: 18, field: 'int32_data' },
  float8e5m2: { number: 19, field: 'int32_data' },
  float8e5m2fnuz: { number: 20, field: 'int32_data' },
  uint4: { number: 21, field: 'int32_data' },
  int4: { number: 22, field: 'int32_data' },
  float4e2m1: { number: 23, field: 'int32_data' },
  float8e8m0: { number: 24, field: 'int32_data' },
  uint2: { number: 25, field: 'int32_data' },
  int2: { number: 26, field: 'int32_data' },
  float6e2m3: { number: 27, field: 'int32_data' },
  float6e3m2: { number: 28, field: 'int32_data' },
} as const satisfies Record<Exclude<ElementType, `unknown:${number}`>, DataTypeRow>;

const NAMES: ReadonlyMap<number, ElementType> = new Map(
  Object.entries(DATA_TYPES).map(([name, row]) => [row.number, name as keyof typeof DATA_TYPES]),
);

/** `unknown:N` for numbers of a newer ONNX. */
export function elementTypeOf(number: number): ElementType {
  return NAMES.get(number) ?? `unknown:${number}`;
}

export function dataTypeNumber(type: ElementType): number {
  if (Object.hasOwn(DATA_TYPES, type)) return DATA_TYPES[type as keyof typeof DATA_TYPES].number;
  return Number(type.slice('unknown:'.length));
}

/** The field that holds elements of a type; undefined for types that we do not know. */
export function dataField(type: ElementType): DataField | undefined {
  return Object.hasOwn(DATA_TYPES, type) ? DATA_TYPES[type as keyof typeof DATA_TYPES].field : undefined;
}
