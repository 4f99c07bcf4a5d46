/** Who made a model: what goes into its producer fields. */
import type { Model } from '../graph/model.ts';

/** Version of zeropoint, written into models as producer_version. A test holds it to package.json. */
export const VERSION = '0.1.0';

/** Names zeropoint as the producer of a model that the caller owns. */
export function signModel(model: Model): void {
  model.producerName = 'zeropoint';
  model.producerVersion = VERSION;
}
