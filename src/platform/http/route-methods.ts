import { Injectable } from '@nestjs/common';

interface Route {
  readonly method: string;
  readonly pattern: RegExp;
}

// A parameter, with its own pattern or without; the rest of a path; and what means something else in a regular expression.
const SPECIAL_PATTERN = /:\w+(?:\(\^(?<own>.*?)\$\))?|(?<rest>\*)|(?<literal>[.+?^${}()|[\]\\])/g;

/** Which methods each path has: for whoever asks for one that it has not. */
@Injectable()
export class RouteMethods {
  readonly #routes: Route[] = [];

  /** @param url as Fastify's router has it. */
  note(method: string, url: string): void {
    this.#routes.push({ method, pattern: patternOf(url) });
  }

  /** In alphabetical order; none where there is no such path. */
  of(path: string): readonly string[] {
    const found = this.#routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    return [...new Set(found)].toSorted();
  }
}

function patternOf(url: string): RegExp {
  const source = url.replaceAll(SPECIAL_PATTERN, (text, own: string | undefined, rest, literal) => {
    if (literal !== undefined) {
      return `\\${text}`;
    }
    return rest === undefined ? (own ?? '[^/]+') : '.*';
  });
  return new RegExp(`^${source}$`);
}
