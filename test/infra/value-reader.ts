import ts from 'typescript';
import { type CodeGraph, placeOf } from './code-graph.ts';

/** An expression where it stands: with what the parameters around it are, in the calls that led there. */
export interface Bound {
  readonly expression: ts.Expression;
  readonly bindings: Bindings;
}

/** The properties that an object may have, as they were written. */
export type Shape = ReadonlyMap<string, Bound>;

/** `undefined` where a call leaves the parameter out. */
type Bindings = ReadonlyMap<ts.ParameterDeclaration, Bound | undefined>;

const NO_BINDINGS: Bindings = new Map();

/** What is told to the application under these names (aws-names.ts), as the permissions call it. */
const TOLD: Readonly<Record<string, string>> = {
  contentBucket: 'content',
  workQueueUrl: 'work-queue',
  feedbackQueueUrl: 'mail-events-queue',
};

/** Something was met that cannot be read off: whoever wrote it writes it plainer, or teaches the reader. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError';

  constructor(node: ts.Node) {
    super(`${placeOf(node)}: it cannot be read off the code what this is: ${node.getText()}`);
  }
}

/**
 * Reads off what an expression may be, without running it: through variables, spreads, conditions, the functions that answer it and, for a
 * parameter, through every call of its function that is reached.
 */
export class ValueReader {
  readonly #graph: CodeGraph;
  /** Parameters whose callers are being looked at: a function that calls itself adds nothing. */
  readonly #rising = new Set<ts.ParameterDeclaration>();

  constructor(graph: CodeGraph) {
    this.#graph = graph;
  }

  /** Every shape that the object may have, as far as these properties go. */
  shapes(object: ts.Expression, names: readonly string[], bindings = NO_BINDINGS): readonly Shape[] {
    return ts.isObjectLiteralExpression(object)
      ? this.#shapesOfLiteral(object, names, bindings)
      : this.#follow({ expression: object, bindings }).flatMap((next) =>
          next ? this.shapes(next.expression, names, next.bindings) : [new Map<string, Bound>()],
        );
  }

  /** Every text that the expression may be. */
  values({ expression, bindings }: Bound): readonly string[] {
    if (ts.isStringLiteralLike(expression)) {
      return [expression.text];
    }
    if (ts.isPropertyAccessExpression(expression)) {
      return this.#valuesOfProperty(expression, bindings);
    }
    return this.#follow({ expression, bindings }).flatMap((next) => (next ? this.values(next) : []));
  }

  /** Every name that a property of the object may have; all of them are computed. */
  keys({ expression, bindings }: Bound): readonly string[] {
    if (ts.isObjectLiteralExpression(expression)) {
      return expression.properties.flatMap((property) => {
        if (!property.name || !ts.isComputedPropertyName(property.name)) {
          throw new UnreadableError(property);
        }
        return this.values({ expression: property.name.expression, bindings });
      });
    }
    return this.#follow({ expression, bindings }).flatMap((next) => (next ? this.keys(next) : []));
  }

  /** What is written last wins; a spread that may be one of several makes several shapes. */
  #shapesOfLiteral(
    object: ts.ObjectLiteralExpression,
    names: readonly string[],
    bindings: Bindings,
  ): readonly Shape[] {
    let shapes: readonly Shape[] = [new Map()];
    for (const property of object.properties) {
      const added = ts.isSpreadAssignment(property)
        ? this.shapes(property.expression, names, bindings)
        : [shapeOf(property, names, bindings)];
      shapes = shapes.flatMap((shape) => added.map((more) => new Map([...shape, ...more])));
    }
    return shapes;
  }

  #valuesOfProperty(access: ts.PropertyAccessExpression, bindings: Bindings): readonly string[] {
    const { name, expression: object } = access;
    if (ts.isPropertyAccessExpression(object) && object.name.text === 'tables') {
      return [name.text];
    }
    const told = TOLD[name.text];
    if (told !== undefined) {
      return [told];
    }
    return this.shapes(object, [name.text], bindings).flatMap((shape) => {
      const bound = shape.get(name.text);
      return bound ? this.values(bound) : [];
    });
  }

  /** What the expression stands for, a step nearer to where it was written; `undefined`: nothing. */
  #follow({ expression, bindings }: Bound): readonly (Bound | undefined)[] {
    if (
      ts.isParenthesizedExpression(expression) ||
      ts.isAsExpression(expression) ||
      ts.isSatisfiesExpression(expression) ||
      ts.isAwaitExpression(expression)
    ) {
      return [{ expression: expression.expression, bindings }];
    }
    if (ts.isConditionalExpression(expression)) {
      const { whenTrue, whenFalse } = expression;
      return [
        { expression: whenTrue, bindings },
        { expression: whenFalse, bindings },
      ];
    }
    if (ts.isBinaryExpression(expression)) {
      return followOperator(expression, bindings);
    }
    if (ts.isCallExpression(expression)) {
      return this.#followCall(expression, bindings);
    }
    if (ts.isIdentifier(expression)) {
      return this.#followName(expression, bindings);
    }
    throw new UnreadableError(expression);
  }

  #followCall(call: ts.CallExpression, bindings: Bindings): readonly (Bound | undefined)[] {
    const targets = this.#graph.targetsOf(call);
    if (targets.length === 0) {
      throw new UnreadableError(call);
    }
    return targets.flatMap((target) => {
      const inner = new Map(bindings);
      target.parameters.forEach((parameter, index) => {
        const expression = call.arguments[index] ?? parameter.initializer;
        inner.set(parameter, expression && { expression, bindings });
      });
      return answersOf(target).map((expression) => expression && { expression, bindings: inner });
    });
  }

  #followName(name: ts.Identifier, bindings: Bindings): readonly (Bound | undefined)[] {
    if (name.text === 'undefined') {
      return [undefined];
    }
    return this.#graph.declarationsOf(name).flatMap((declaration) => {
      if (ts.isVariableDeclaration(declaration) && declaration.initializer) {
        return this.#followVariable(declaration, declaration.initializer, bindings);
      }
      if (ts.isParameter(declaration)) {
        return this.#followParameter(declaration, bindings);
      }
      throw new UnreadableError(name);
    });
  }

  #followVariable(
    declaration: ts.VariableDeclaration,
    initializer: ts.Expression,
    bindings: Bindings,
  ): readonly Bound[] {
    const later = this.#graph.assignmentsOf(declaration).filter((assigned) => !isRemainder(assigned));
    return [initializer, ...later].map((expression) => ({ expression, bindings }));
  }

  #followParameter(parameter: ts.ParameterDeclaration, bindings: Bindings): readonly (Bound | undefined)[] {
    if (bindings.has(parameter)) {
      return [bindings.get(parameter)];
    }
    const given = this.#graph.argumentsOf(parameter);
    if (given.length === 0) {
      throw new UnreadableError(parameter);
    }
    if (this.#rising.has(parameter)) {
      return [];
    }
    this.#rising.add(parameter);
    try {
      return given.map((argument) => {
        const expression = argument ?? parameter.initializer;
        return expression && { expression, bindings: NO_BINDINGS };
      });
    } finally {
      this.#rising.delete(parameter);
    }
  }
}

function followOperator(
  { left, operatorToken, right }: ts.BinaryExpression,
  bindings: Bindings,
): readonly (Bound | undefined)[] {
  switch (operatorToken.kind) {
    case ts.SyntaxKind.AmpersandAmpersandToken:
      return [undefined, { expression: right, bindings }];
    case ts.SyntaxKind.QuestionQuestionToken:
    case ts.SyntaxKind.BarBarToken:
      return [
        { expression: left, bindings },
        { expression: right, bindings },
      ];
    default:
      throw new UnreadableError(operatorToken.parent);
  }
}

function shapeOf(property: ts.ObjectLiteralElementLike, names: readonly string[], bindings: Bindings): Shape {
  const name = property.name && ts.isIdentifier(property.name) ? property.name.text : undefined;
  if (name === undefined || !names.includes(name)) {
    return new Map();
  }
  if (ts.isPropertyAssignment(property)) {
    return new Map([[name, { expression: property.initializer, bindings }]]);
  }
  if (ts.isShorthandPropertyAssignment(property)) {
    return new Map([[name, { expression: property.name, bindings }]]);
  }
  throw new UnreadableError(property);
}

/** What a function answers, at each of its ends; `undefined` where that is nothing. */
function answersOf(target: ts.FunctionLikeDeclaration): readonly (ts.Expression | undefined)[] {
  if (ts.isArrowFunction(target) && !ts.isBlock(target.body)) {
    return [target.body];
  }
  const answers: (ts.Expression | undefined)[] = [];
  const look = (node: ts.Node): void => {
    if (ts.isReturnStatement(node)) {
      answers.push(node.expression);
    } else if (!ts.isFunctionLike(node)) {
      ts.forEachChild(node, look);
    }
  };
  if (target.body) {
    ts.forEachChild(target.body, look);
  }
  return answers;
}

/** True for what DynamoDB hands back of a batch, to be asked for again: it names nothing new. */
function isRemainder(expression: ts.Expression): boolean {
  return /\.Unprocessed(Keys|Items)\b/.test(expression.getText());
}
