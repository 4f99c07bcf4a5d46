/** Names of the exported presets: factories and QConfigs that are values, not classes. */
export function qconfigPresetNames(exports: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(exports).filter(
    (name) => /^(default|float|fused|per|weight)[A-Z\d]\w*/.test(name) && isPreset(exports[name]),
  );
}

function isPreset(value: unknown): boolean {
  const isFactory = typeof value === 'function' && 'withArgs' in value && 'args' in value;
  const isQConfig = typeof value === 'object' && value !== null && 'activation' in value && 'weight' in value;
  return isFactory || isQConfig;
}
