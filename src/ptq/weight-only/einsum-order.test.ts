import { expect, it } from 'vitest';
import { einsumOrder } from './einsum-order.ts';

it.each([
  ['mk,kn->mn', 'columns'],
  ['bik,kn->bin', 'columns'],
  ['bik,nk->bin', 'rows'],
  ['...k, kn -> ...n', 'columns'],
  ['...ik,nk->...in', 'rows'],
  ['k,kn->n', undefined],
  ['mk,kn->nm', undefined],
  ['mk,kn', undefined],
  ['mk,mn->mn', undefined],
  ['mk,kk->mk', undefined],
  ['kk,kn->kn', undefined],
  ['mkl,kln->mn', undefined],
  ['mk,kn->m', undefined],
  ['mk,kn,n->mn', undefined],
  ['mk,bkn->bmn', undefined],
  ['nk,kn->nn', undefined],
])('%s: %s', (equation, order) => {
  expect(einsumOrder(equation)).toBe(order);
});
