/** Names, patterns and operators that somebody wrote, held against the nodes of a model: a typo must not pass in silence. */
import { STATIC_OP_TYPES, type Model } from 'zeropoint/onnx';
import { UsageError } from '../errors.ts';
import { didYouMean } from '../near-miss.ts';
import type { ConfigurationOptions } from '../verbs/options.ts';

/** The source of a regular expression that matches the same; * stands for anything. */
export function patternSource(pattern: string): string {
  const literal = pattern.split('*').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return literal.join('[^]*');
}

/** Whatever names nodes. */
type NamingOptions = Pick<ConfigurationOptions, 'exclude' | 'settings'>;

/**
 * Gives nodes without a name that somebody means the name that reports call them by, `MatMul(output)`: exports leave all
 * nodes of a model without one. Others stay as they are.
 */
export function nameMeantNodes(model: Model, { exclude = [], settings = {} }: NamingOptions): void {
  const { namePatterns = {}, nodes = {}, weights } = settings;
  const overridden = (weights?.overrides ?? []).map((override) => override.nodes);
  const patterns = [...exclude, ...Object.keys(namePatterns), ...overridden].map(matcherOf);
  for (const node of model.graph.allNodes()) {
    const { name, label } = node;
    if (name !== '') continue;
    if (Object.hasOwn(nodes, label) || patterns.some((pattern) => pattern.test(label))) node.name = label;
  }
}

function matcherOf(pattern: string): RegExp {
  return new RegExp(`^${patternSource(pattern)}$`);
}

/** Names that a pattern matches, at least one. @throws UsageError if there is none */
export function matchingNames(model: Model, pattern: string, where: string): readonly string[] {
  const matcher = matcherOf(pattern);
  const names = nodeNames(model);
  const matches = names.filter((name) => matcher.test(name));
  if (matches.length > 0) return matches;
  throw noSuchNode(pattern, names, where);
}

/** @throws UsageError if no node has the name, or lies in a scope of that name */
export function checkNodeName(model: Model, name: string, where: string): void {
  const names = nodeNames(model);
  const isThere = names.some(
    (known) => known === name || (/^[/.]/.test(known.slice(name.length)) && known.startsWith(name)),
  );
  if (!isThere) throw noSuchNode(name, names, where);
}

/** @throws UsageError for an operator that the model does not have and that nothing is known of */
export function checkOpType(model: Model, opType: string, where: string): void {
  const known = new Set([...[...model.graph.allNodes()].map((node) => node.qualifiedOp), ...STATIC_OP_TYPES]);
  if (known.has(opType)) return;
  throw new UsageError(
    `${where}: expected an operator, got '${opType}'${didYouMean(opType, known)}`,
    'zeropoint inspect lists those of a model.',
  );
}

/** As reports call them: those without a name by operator and output. '' would mean the whole model. */
function nodeNames(model: Model): readonly string[] {
  return Array.from(model.graph.allNodes(), ({ label }) => label);
}

function noSuchNode(pattern: string, names: readonly string[], where: string): UsageError {
  return new UsageError(
    `${where}: expected the name of a node, got '${pattern}', which matches none${didYouMean(pattern, names)}`,
    names.length === 0 ? 'The model has no nodes.' : `Names look like ${examples(names)}.`,
  );
}

function examples(names: readonly string[]): string {
  return names
    .slice(0, 3)
    .map((name) => `'${name}'`)
    .join(', ');
}
