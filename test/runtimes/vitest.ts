/**
 * Stands in for `vitest` in the bundles of the core tests: vitest's own runner and matchers, which need no Node.
 * Offers what core tests use; a bundle that asks for more does not build, and says which name is missing.
 */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  chai,
  customMatchers,
  getState,
  setState,
  type ExpectStatic,
} from '@vitest/expect';

export {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  it,
  onTestFinished,
  suite,
  test,
} from '@vitest/runner';

export const expect: ExpectStatic = makeExpect();
export const assert: typeof chai.assert = chai.assert;

/** `chai.expect` with the matchers of vitest, put together as vitest does it. */
function makeExpect(): ExpectStatic {
  for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);
  const matchers = Reflect.get(globalThis, ASYMMETRIC_MATCHERS_OBJECT) as object;
  // Vitest's type says what the plugins above add to chai's function.
  const made = Object.assign(
    (value: unknown, message?: string) => chai.expect(value, message),
    chai.expect,
    matchers,
  ) as unknown as ExpectStatic;
  made.getState = () => getState(made);
  made.setState = (state) => setState(state, made);
  // @ts-expect-error: JestExtend adds `extend` to chai's function without saying so in its type
  made.extend = (more) => chai.expect.extend(made, more);
  made.setState({ assertionCalls: 0 });
  made.extend(customMatchers);
  return made;
}
