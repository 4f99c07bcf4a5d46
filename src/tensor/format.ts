export function formatTensor(_t: unknown): string { return ''; }
