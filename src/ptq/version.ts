/** Version of zeropoint, written into models as producer_version. A test holds it to package.json. */
export const VERSION = '0.1.0';
