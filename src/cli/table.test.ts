import { describe, expect, it } from 'vitest';
import { GraphError } from 'zeropoint';
import { failure } from './errors.ts';
import { table } from './table.ts';

describe('names that hold control characters', () => {
  const evil = 'conv\u001b[2J\nname';

  it('do not reach the terminal through tables', () => {
    expect(table([[evil, 'Conv']])).toBe('conv\\u001b[2J\\u000aname  Conv\n');
  });

  it('nor through errors, which may have several lines', () => {
    const error = new GraphError(`${evil}: expected one`, { code: 'GRAPH_INVALID' });
    expect(failure(error, {}).lines).toEqual(['error: conv\\u001b[2J\nname: expected one']);
  });
});
