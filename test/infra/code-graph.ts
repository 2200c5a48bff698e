import { relative } from 'node:path';
import ts from 'typescript';

/** A function that is reached: its declaration is walked for what it refers to. */
type Code = ts.Node;

type Call = ts.CallExpression | ts.NewExpression;

/** What begins by itself, or is begun from outside; and which branches are taken there. */
export interface Entry {
  readonly roots: readonly Code[];
  /** False where a condition is known not to hold, so that what it guards is not reached. */
  isTaken(condition: ts.Expression): boolean;
  /** False where a declaration is of no concern: another engine, for instance. */
  isKnown(file: ts.SourceFile): boolean;
}

/**
 * What of a program can be reached from some roots. Whatever is referred to counts as called, and a method of an abstract class as that
 * of every class that extends it: so nothing that can run is missing, whoever injects what into whom. What is returned as a function of a
 * named type counts once something calls a function of that type.
 */
export class CodeGraph {
  readonly #checker: ts.TypeChecker;
  readonly #entry: Entry;
  readonly #overrides: ReadonlyMap<ts.Node, readonly ts.ClassElement[]>;
  /** Optional parameters that no call gives. */
  readonly #leftOut: ReadonlySet<ts.Node> = new Set();
  readonly #reached = new Set<Code>();
  readonly #calls = new Map<ts.Node, Call[]>();
  /** Functions that are handed to somebody, who may call them with anything. */
  readonly #handedOn = new Set<ts.Node>();
  readonly #assignments = new Map<ts.Node, ts.Expression[]>();
  /** Functions that were returned under the name of a type, and the types of which somebody calls one. */
  readonly #returned = new Map<ts.Symbol, ts.Node[]>();
  readonly #calledTypes = new Set<ts.Symbol>();

  constructor(program: ts.Program, entry: Entry) {
    this.#checker = program.getTypeChecker();
    this.#entry = entry;
    this.#overrides = this.#findOverrides(program);
    // What guards a parameter that nobody gives is not reached; without it, fewer calls are, and others may be left out by all.
    let leftOutCount = -1;
    while (this.#leftOut.size > leftOutCount) {
      leftOutCount = this.#leftOut.size;
      this.#walkAll();
      this.#leftOut = this.#findLeftOut();
    }
  }

  /** Every node of what is reached, each once. */
  *nodes(): Generator<ts.Node> {
    const seen = new Set<ts.Node>();
    for (const code of this.#reached) {
      yield* this.#nodesOf(code, seen);
    }
  }

  /** The arguments with which a parameter is reached; `undefined` for a call that leaves it out. */
  argumentsOf(parameter: ts.ParameterDeclaration): readonly (ts.Expression | undefined)[] {
    const index = parameter.parent.parameters.indexOf(parameter);
    return (this.#calls.get(parameter.parent) ?? []).map((call) => call.arguments?.[index]);
  }

  /** The declarations with a body that a call may run. */
  targetsOf(call: Call): readonly ts.FunctionLikeDeclaration[] {
    return this.#declarationsAt(calleeName(call.expression)).flatMap((declaration) =>
      functionsOf(declaration),
    );
  }

  /** The declaration of a name: the variable, the parameter, the property. */
  declarationsOf(name: ts.Node): readonly ts.Declaration[] {
    return this.#symbolAt(name)?.declarations ?? [];
  }

  /** What is assigned to a variable after its declaration. */
  assignmentsOf(declaration: ts.VariableDeclaration): readonly ts.Expression[] {
    return this.#assignments.get(declaration) ?? [];
  }

  /** What a name is imported as, and from where; `undefined` for what is not imported. */
  importAt(name: ts.Identifier): { readonly name: string; readonly from: string } | undefined {
    const [declaration] = this.#checker.getSymbolAtLocation(name)?.declarations ?? [];
    if (!declaration || !ts.isImportSpecifier(declaration)) {
      return undefined;
    }
    const { moduleSpecifier } = declaration.parent.parent.parent;
    return {
      name: (declaration.propertyName ?? declaration.name).text,
      from: ts.isStringLiteral(moduleSpecifier) ? moduleSpecifier.text : '',
    };
  }

  *#nodesOf(node: ts.Node, seen: Set<ts.Node>): Generator<ts.Node> {
    if (seen.has(node) || this.#isElsewhere(node)) {
      return;
    }
    seen.add(node);
    yield node;
    for (const child of this.#childrenOf(node)) {
      yield* this.#nodesOf(child, seen);
    }
  }

  /** The children that run where the node runs. */
  #childrenOf(node: ts.Node): readonly ts.Node[] {
    if (ts.isImportDeclaration(node)) {
      return [];
    }
    if (ts.isIfStatement(node) && !this.#isTaken(node.expression)) {
      return node.elseStatement ? [node.expression, node.elseStatement] : [node.expression];
    }
    const children: ts.Node[] = [];
    ts.forEachChild(node, (child) => {
      if (!ts.isTypeNode(child) && !ts.isDecorator(child)) {
        children.push(child);
      }
    });
    return children;
  }

  #isTaken(condition: ts.Expression): boolean {
    const isLeftOut =
      ts.isIdentifier(condition) &&
      this.declarationsOf(condition).some((declaration) => this.#leftOut.has(declaration));
    return !isLeftOut && this.#entry.isTaken(condition);
  }

  /** True for what is walked by itself, once it is referred to or called. */
  #isElsewhere(node: ts.Node): boolean {
    return (
      !this.#reached.has(node) &&
      (ts.isFunctionDeclaration(node) || ts.isClassLike(node) || this.#typeReturned(node) !== undefined)
    );
  }

  #walkAll(): void {
    for (const found of [
      this.#reached,
      this.#calls,
      this.#handedOn,
      this.#assignments,
      this.#returned,
      this.#calledTypes,
    ]) {
      found.clear();
    }
    const pending = [...this.#entry.roots];
    for (let next = pending.pop(); next; next = pending.pop()) {
      if (!this.#reached.has(next)) {
        this.#reached.add(next);
        this.#walk(next, pending);
      }
    }
  }

  #walk(code: Code, pending: Code[]): void {
    for (const node of this.#nodesOf(code, new Set())) {
      if ((ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) && !isDeclared(node)) {
        this.#noteName(node, pending);
      } else if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
        this.#noteCall(node, pending);
      } else if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
        this.#noteAssignment(node);
      }
      ts.forEachChild(node, (child) => this.#noteReturned(child, pending));
    }
  }

  #noteName(name: ts.Identifier | ts.PrivateIdentifier, pending: Code[]): void {
    const codes = this.#declarationsAt(name).flatMap((declaration) => this.#codeOf(declaration));
    pending.push(...codes);
    if (!isCallee(name)) {
      codes.forEach((code) => this.#handedOn.add(code));
    }
  }

  #noteCall(call: Call, pending: Code[]): void {
    const targets = [...this.targetsOf(call)];
    const type = this.#checker.getTypeAtLocation(call.expression).aliasSymbol;
    if (type) {
      this.#calledTypes.add(type);
      const returned = this.#returned.get(type) ?? [];
      pending.push(...returned);
      targets.push(...returned.flatMap((node) => functionsOf(node)));
    }
    for (const target of targets) {
      this.#calls.set(target, [...(this.#calls.get(target) ?? []), call]);
    }
  }

  #noteAssignment({ left, right }: ts.BinaryExpression): void {
    for (const declaration of this.declarationsOf(left)) {
      this.#assignments.set(declaration, [...(this.#assignments.get(declaration) ?? []), right]);
    }
  }

  #noteReturned(node: ts.Node, pending: Code[]): void {
    const type = this.#typeReturned(node);
    if (!type) {
      return;
    }
    this.#returned.set(type, [...(this.#returned.get(type) ?? []), node]);
    if (this.#calledTypes.has(type)) {
      pending.push(node);
    }
  }

  /** The named type under which a function is returned; `undefined` for all else. */
  #typeReturned(node: ts.Node): ts.Symbol | undefined {
    return ts.isArrowFunction(node) && ts.isReturnStatement(node.parent)
      ? this.#checker.getContextualType(node)?.aliasSymbol
      : undefined;
  }

  #findLeftOut(): ReadonlySet<ts.Node> {
    const called = [...this.#calls.keys()].filter(
      (code) => !this.#handedOn.has(code) && !this.#entry.roots.includes(code),
    );
    return new Set(
      called
        .filter((code) => ts.isFunctionLike(code))
        .flatMap(({ parameters }) => [...parameters])
        .filter(({ questionToken }) => questionToken !== undefined)
        .filter((parameter) => this.argumentsOf(parameter).every((argument) => argument === undefined)),
    );
  }

  /** What runs where the declaration is referred to. */
  #codeOf(declaration: ts.Node): readonly Code[] {
    if (ts.isClassLike(declaration)) {
      // Its fields and its constructor; its methods when they are referred to. So are those of the class that it extends.
      const bases = (declaration.heritageClauses ?? [])
        .flatMap(({ types }) => types)
        .flatMap(({ expression }) => this.#declarationsAt(expression));
      return [
        ...declaration.members.filter(
          (member) => ts.isConstructorDeclaration(member) || ts.isPropertyDeclaration(member),
        ),
        ...bases.flatMap((base) => this.#codeOf(base)),
      ];
    }
    if (ts.isVariableDeclaration(declaration) && isOfModule(declaration) && declaration.initializer) {
      return [declaration.initializer];
    }
    return functionsOf(declaration);
  }

  /** The declarations of a name that are known, and whatever overrides them. */
  #declarationsAt(name: ts.Node): readonly ts.Node[] {
    const declarations = this.#symbolAt(name)?.declarations ?? [];
    return declarations
      .filter((declaration) => this.#isKnown(declaration))
      .flatMap((declaration) => [declaration, ...(this.#overrides.get(declaration) ?? [])]);
  }

  #symbolAt(name: ts.Node): ts.Symbol | undefined {
    const isShorthand = ts.isShorthandPropertyAssignment(name.parent) && name.parent.name === name;
    const symbol = isShorthand
      ? this.#checker.getShorthandAssignmentValueSymbol(name.parent)
      : this.#checker.getSymbolAtLocation(name);
    return symbol && symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol;
  }

  #isKnown(node: ts.Node): boolean {
    const file = node.getSourceFile();
    return !file.isDeclarationFile && this.#entry.isKnown(file);
  }

  /** Each method of a class, with those of the classes below that stand in for it. */
  #findOverrides(program: ts.Program): ReadonlyMap<ts.Node, readonly ts.ClassElement[]> {
    const overrides = new Map<ts.Node, ts.ClassElement[]>();
    for (const declared of classesOf(program, (file) => this.#entry.isKnown(file))) {
      for (const member of declared.members) {
        for (const overridden of this.#overriddenBy(declared, member)) {
          overrides.set(overridden, [...(overrides.get(overridden) ?? []), member]);
        }
      }
    }
    return overrides;
  }

  #overriddenBy(declared: ts.ClassLikeDeclaration, member: ts.ClassElement): readonly ts.Declaration[] {
    const name = member.name && ts.isIdentifier(member.name) ? member.name.text : undefined;
    if (name === undefined) {
      return [];
    }
    return (declared.heritageClauses ?? [])
      .flatMap(({ types }) => types)
      .flatMap((above) => ancestors(this.#checker.getTypeAtLocation(above)))
      .flatMap((above) => above.getProperty(name)?.declarations ?? []);
  }
}

/** The type itself and whatever it extends: a property is declared where it was declared last. */
function ancestors(type: ts.Type): readonly ts.Type[] {
  return [type, ...(type.getBaseTypes() ?? []).flatMap(ancestors)];
}

export function* classesOf(
  program: ts.Program,
  isKnown: (file: ts.SourceFile) => boolean,
): Generator<ts.ClassLikeDeclaration> {
  for (const file of program.getSourceFiles()) {
    if (!file.isDeclarationFile && isKnown(file)) {
      yield* classesIn(file);
    }
  }
}

function* classesIn(node: ts.Node): Generator<ts.ClassLikeDeclaration> {
  if (ts.isClassLike(node)) {
    yield node;
  }
  const children: ts.Node[] = [];
  ts.forEachChild(node, (child) => {
    children.push(child);
  });
  for (const child of children) {
    yield* classesIn(child);
  }
}

/** The decorators of a class or a member, by name. */
export function decoratorsOf(
  node: ts.Node,
): readonly { readonly name: string; readonly node: ts.Decorator }[] {
  const decorators = ts.canHaveDecorators(node) ? (ts.getDecorators(node) ?? []) : [];
  return decorators.map((decorator) => {
    const { expression } = decorator;
    const callee = ts.isCallExpression(expression) ? expression.expression : expression;
    return { name: callee.getText(), node: decorator };
  });
}

/** True for the name that a declaration gives, rather than refers to. */
function isDeclared(name: ts.Node): boolean {
  const { parent } = name;
  return (
    (ts.isFunctionLike(parent) ||
      ts.isClassLike(parent) ||
      ts.isVariableDeclaration(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isParameter(parent)) &&
    parent.name === name
  );
}

/** True for the name of what is called there and then. */
function isCallee(name: ts.Node): boolean {
  const access = ts.isPropertyAccessExpression(name.parent) && name.parent.name === name ? name.parent : name;
  const { parent } = access;
  return (ts.isCallExpression(parent) || ts.isNewExpression(parent)) && parent.expression === access;
}

function calleeName(callee: ts.Expression): ts.Node {
  return ts.isPropertyAccessExpression(callee) ? callee.name : callee;
}

/** The functions with a body that a declaration stands for. */
function functionsOf(declaration: ts.Node): readonly ts.FunctionLikeDeclaration[] {
  if (ts.isFunctionLike(declaration) && 'body' in declaration && declaration.body) {
    return [declaration];
  }
  if (ts.isClassLike(declaration)) {
    return declaration.members.filter((member) => ts.isConstructorDeclaration(member));
  }
  const isVariable = ts.isVariableDeclaration(declaration) || ts.isPropertyDeclaration(declaration);
  const initializer = isVariable ? declaration.initializer : undefined;
  return initializer && (ts.isArrowFunction(initializer) || ts.isFunctionExpression(initializer))
    ? [initializer]
    : [];
}

function isOfModule(declaration: ts.VariableDeclaration): boolean {
  return ts.isSourceFile(declaration.parent.parent.parent);
}

/** `file:line` of a node, for whoever has to look there. */
export function placeOf(node: ts.Node): string {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  return `${relative(process.cwd(), file.fileName)}:${line + 1}`;
}
