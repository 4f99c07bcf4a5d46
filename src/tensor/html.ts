export function htmlTable(_t: unknown): string {
  return '';
}
