/** NumPy files: the public names. */
export { openNumpy } from './open-numpy.ts';
export type { NumpyArray, RowReader } from './open-numpy.ts';
