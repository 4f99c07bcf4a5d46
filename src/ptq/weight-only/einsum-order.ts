import type { WeightMatrix } from './weight-matrix.ts';

/** Leading axes of A: one letter and more, or an ellipsis. */
const PRODUCT = /^(?<lead>\.\.\.[a-z]*|[a-z]+)(?<k>[a-z]),(?<b>[a-z]{2})->(?<out>.+)$/i;

/**
 * How an Einsum of two operands reads B where it multiplies A's last axis with it, and changes nothing else: `columns` for
 * B [K, N], `rows` for [N, K]; undefined for any other equation.
 *
 * @example einsumOrder('bik,kn->bin') // columns
 */
export function einsumOrder(equation: string): WeightMatrix['order'] | undefined {
  const { lead, k, b, out } = PRODUCT.exec(equation.replaceAll(' ', ''))?.groups ?? {};
  if (b === undefined) return undefined;
  const n = b[0] === k ? b[1] : b[0];
  const letters = [...lead.replace('...', ''), k, n];
  const isPlain = b.includes(k) && new Set(letters).size === letters.length && out === lead + n;
  if (!isPlain) return undefined;
  return b[0] === k ? 'columns' : 'rows';
}
