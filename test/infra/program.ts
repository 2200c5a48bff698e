import ts from 'typescript';

// Enough to know what a name means: nothing is checked here, `npm run types` does that.
const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2024,
  lib: ['lib.esnext.d.ts'],
  types: [],
  strict: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  experimentalDecorators: true,
};

const knownFiles = new Map<string, ts.SourceFile>();

/**
 * The program that begins at these files, as the compiler knows it; `texts` stand in for files, and for such as do not exist. Packages are
 * not read: what is asked of them is known by the name that is imported, and reading their types takes ten times as long as all else.
 */
export function openProgram(
  roots: readonly string[],
  texts: ReadonlyMap<string, string> = new Map(),
): ts.Program {
  const files = ts.createCompilerHost(OPTIONS);
  const readFile = (name: string): string | undefined => texts.get(name) ?? files.readFile(name);
  const host: ts.CompilerHost = {
    ...files,
    readFile,
    fileExists: (name) => texts.has(name) || files.fileExists(name),
    getSourceFile: (name, languageVersion) => {
      const text = readFile(name);
      return text === undefined ? undefined : sourceFileOf(name, text, languageVersion);
    },
    resolveModuleNameLiterals: (literals, containingFile) =>
      literals.map(({ text }) =>
        text.startsWith('.')
          ? ts.resolveModuleName(text, containingFile, OPTIONS, files)
          : { resolvedModule: undefined },
      ),
  };
  return ts.createProgram([...roots], OPTIONS, host);
}

/** A file that is as it was for the program before is not read again: most are the language's own. */
function sourceFileOf(
  name: string,
  text: string,
  languageVersion: ts.ScriptTarget | ts.CreateSourceFileOptions,
): ts.SourceFile {
  const known = knownFiles.get(name);
  const file = known?.text === text ? known : ts.createSourceFile(name, text, languageVersion, true);
  knownFiles.set(name, file);
  return file;
}
