/**
 * Lists what an entry point makes public, types included, by following its re-exports through the sources, and says
 * for each name whether a doc comment stands above its declaration. (TypeScript 7 has no API that could be asked.)
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseSync, type EcmaScriptModule } from 'oxc-parser';

export interface PublicExport {
  readonly name: string;
  /** Of the declaration: a `type` is an interface or an alias and does not exist at run time. */
  readonly kind: 'class' | 'const' | 'function' | 'type';
  readonly file: string;
  readonly documented: boolean;
}

interface Declaration {
  readonly kind: PublicExport['kind'];
  /** Where the statement begins, `export` included. */
  readonly start: number;
}

/** A name of a module: declared there, or taken from another one under its name there. */
type Binding = Declaration | { readonly from: string; readonly imported: string };

interface Module {
  readonly bindings: ReadonlyMap<string, Binding>;
  /** Public name → local name, or a binding for `export ... from`. */
  readonly exports: ReadonlyMap<string, string | Binding>;
  readonly stars: readonly string[];
  readonly isDocumented: (start: number) => boolean;
}

/** The public names of the module at `path`, sorted. Throws if one of them cannot be followed to its declaration. */
export function publicExports(path: string): PublicExport[] {
  const modules = new Map<string, Module>();
  const load = (file: string): Module => {
    const known = modules.get(file) ?? parseModule(file);
    modules.set(file, known);
    return known;
  };
  return [...namesOf(path, load)].toSorted().map((name) => follow(path, name, name, load));
}

type Load = (file: string) => Module;

function namesOf(file: string, load: Load): Set<string> {
  const module = load(file);
  const names = new Set(module.exports.keys());
  for (const star of module.stars) for (const name of namesOf(star, load)) names.add(name);
  return names;
}

/** Goes from module to module until `name` is a declaration. */
function follow(file: string, name: string, publicName: string, load: Load): PublicExport {
  const module = load(file);
  const entry = module.exports.get(name);
  if (entry === undefined) {
    const star = module.stars.find((candidate) => namesOf(candidate, load).has(name));
    if (star === undefined) throw new Error(`exports: expected ${name} in ${file}, got nothing`);
    return follow(star, name, publicName, load);
  }
  const binding = typeof entry === 'string' ? module.bindings.get(entry) : entry;
  if (binding === undefined) throw new Error(`exports: expected a declaration of ${name} in ${file}`);
  if ('from' in binding) return follow(binding.from, binding.imported, publicName, load);
  return { name: publicName, kind: binding.kind, file, documented: module.isDocumented(binding.start) };
}

function parseModule(file: string): Module {
  const text = readFileSync(file, 'utf8');
  const { program, comments, errors, module } = parseSync(file, text);
  if (errors.length > 0)
    throw new Error(`exports: expected TypeScript in ${file}, got ${errors[0]?.message}`);
  const resolveFrom = (specifier: string): string => resolve(dirname(file), specifier);
  const bindings = new Map<string, Binding>();
  for (const { moduleRequest, entries } of module.staticImports) {
    for (const { importName, localName } of entries) {
      bindings.set(localName.value, {
        from: resolveFrom(moduleRequest.value),
        imported: importName.name ?? '',
      });
    }
  }
  for (const statement of program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    for (const [name, kind] of declared(declaration)) {
      addDeclaration(bindings, name, { kind, start: statement.start });
    }
  }
  const docs = comments.filter((comment) => comment.type === 'Block' && comment.value.startsWith('*'));
  const isDocumented = (start: number): boolean =>
    docs.some((doc) => doc.end <= start && text.slice(doc.end, start).trim() === '');
  return { bindings, ...exportsOf(module, resolveFrom), isDocumented };
}

function exportsOf(
  { staticExports }: EcmaScriptModule,
  resolveFrom: (specifier: string) => string,
): Pick<Module, 'exports' | 'stars'> {
  const exports = new Map<string, string | Binding>();
  const stars: string[] = [];
  for (const { exportName, importName, localName, moduleRequest } of staticExports.flatMap(
    (s) => s.entries,
  )) {
    const from = moduleRequest && resolveFrom(moduleRequest.value);
    if (from && exportName.name === null) stars.push(from);
    else if (from) exports.set(exportName.name ?? '', { from, imported: importName.name ?? '' });
    else exports.set(exportName.name ?? 'default', localName.name ?? '');
  }
  return { exports, stars };
}

/** Of several declarations of a name (overloads, a type beside a const) the first one carries the comment. */
function addDeclaration(bindings: Map<string, Binding>, name: string, declaration: Declaration): void {
  const known = bindings.get(name);
  if (known === undefined) bindings.set(name, declaration);
  else if ('kind' in known && known.kind === 'type') bindings.set(name, { ...known, kind: declaration.kind });
}

interface SyntaxNode {
  readonly type: string;
  readonly id?: unknown;
  readonly declarations?: readonly { readonly id: unknown }[];
}

const KINDS: Readonly<Record<string, PublicExport['kind']>> = {
  ClassDeclaration: 'class',
  FunctionDeclaration: 'function',
  TSDeclareFunction: 'function',
  TSInterfaceDeclaration: 'type',
  TSTypeAliasDeclaration: 'type',
  VariableDeclaration: 'const',
};

/** The names that a statement declares, with their kind; none for anything else. */
function declared(statement: SyntaxNode | null): [string, PublicExport['kind']][] {
  const kind = statement && KINDS[statement.type];
  if (!statement || !kind) return [];
  const ids = statement.declarations?.map(({ id }) => id) ?? [statement.id];
  return ids.map((id) => [nameOf(id), kind]);
}

function nameOf(id: unknown): string {
  if (typeof id === 'object' && id !== null && 'name' in id) return String(id.name);
  throw new Error('exports: expected a plain name, got a pattern');
}
