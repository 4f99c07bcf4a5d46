/** Observers that look at nothing and have no range: they tell the workflow what to do with a tensor. */
import type { QParams, QScheme, TensorLike } from '../quant/types.ts';
import { Observer } from './observer.ts';

export abstract class MarkerObserver extends Observer {
  readonly qscheme: QScheme = 'per_tensor_affine';

  override observe<T extends TensorLike>(x: T): T {
    return x;
  }

  /** Always throws TypeError: a marker has no range, and a made-up scale would be wrong quietly. */
  override calculateQParams(): QParams {
    throw new TypeError(
      `${this.type}: expected an observer with a range for calculateQParams(), got a marker`,
    );
  }

  override reset(): void {}

  protected override absorb(_other: this): void {}

  protected override saveState(): Record<string, unknown> {
    return {};
  }

  protected override loadState(_state: Readonly<Record<string, unknown>>): void {}

  protected override summary(): string {
    return '';
  }
}
