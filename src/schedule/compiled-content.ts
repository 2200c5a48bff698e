import { Context, Liquid, type LiquidOptions, type Template as LiquidTemplate, TypeGuards } from 'liquidjs';
import type { Subscriber } from '../groups/subscriber.ts';
import { DomainError, type Fault, InvalidInputError } from '../platform/errors/domain-error.ts';
import type { Content } from './content.ts';
import { htmlToText, liquidHtmlToText } from './html-to-text.ts';

/** To whom a mail is rendered. */
export type Recipient = Pick<Subscriber, 'email' | 'name' | 'attributes'>;

/** What templates may use beside what is known of the recipient. */
export interface MailVariables {
  /** Where the recipient leaves the group. */
  readonly unsubscribe_url?: string;
  /** Where the recipient sees all their groups. */
  readonly preferences_url?: string;
  /** Of the sender. */
  readonly postal_address?: string;
}

/** What one recipient reads. */
export interface Rendered {
  /** One line. */
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  /** Present where HTML and text are the same for everybody but for values in fixed places: those can be put in by a provider, or into what was encoded before. */
  readonly merge: Merge | undefined;
}

/** How HTML and text were put together. */
export interface Merge {
  readonly html: MergedPart;
  readonly text: MergedPart;
}

/** `literals[0] + values[0] + literals[1] + … + literals[n]`, which is the part as it was rendered: in HTML, values are escaped already. */
export interface MergedPart {
  /** One more than values. The same array for everybody to whom the content is rendered, so that what is made of it can be kept. */
  readonly literals: readonly string[];
  readonly values: readonly string[];
}

/** Content that is ready to be rendered, once for each recipient. */
export interface CompiledContent {
  /** @throws {RenderError} where a template fails for this recipient; it may work for another. */
  render(recipient: Recipient, variables?: MailVariables): Rendered;
}

/** A template that parses, but fails with the data of one recipient or takes too much. */
export class RenderError extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'render-failed';

  constructor(part: Part, detail: string, options?: ErrorOptions) {
    super(`The template of the ${part} cannot be rendered: ${detail}.`, options);
  }
}

/** A part of the content that may be a template; it is also its name in the API. */
type Part = 'subject' | 'body' | 'text';

/*
 * Limits. Templates are written by whoever may send, so this is about accidents: an endless loop must cost one delivery, not the server.
 * Measured on LiquidJS 10.30.1 (Node 26): parsing 5,000 tags and outputs takes 0.1 s, but its cost rises with their square
 * (`parseTokens` shifts an array): 40,000 take 4 s, and 10 MB full of `{{ name }}` take 9 minutes.
 */
const MAX_TAGS = 5_000;
// The largest part that a BODY_LIMIT may allow.
const MAX_TEMPLATE_LENGTH = 40 * 1024 * 1024;
// Rendering is synchronous, so nothing else runs meanwhile. The wall clock counts: a template at its tag limit takes 10 ms.
const RENDER_LIMIT_MS = 1_000;
// Far below it.
const LATELY_MS = 100;
// In characters and array elements that filters and ranges make: `(1..100000000)` is refused before it is made.
const MEMORY_LIMIT = 64 * 1024 * 1024;
// Twice the largest body by default; more would not pass any mail server.
const MAX_RENDERED_LENGTH = 20 * 1024 * 1024;

/*
 * What a template cannot use, and is told so when it is scheduled. `include`, `render`, `layout` and `block` read other templates, of
 * which there are none; with `templates: {}` they could not reach the disk either. `liquid` holds any number of tags, past MAX_TAGS.
 */
const WITHHELD_TAGS = ['include', 'render', 'layout', 'block', 'liquid'];

// After these, a name may mean something else than what is known of the recipient.
const NAMING_TAG_PATTERN = /assign|capture|increment|decrement/;
const PATH_PATTERN = /^\{\{-?\s*([a-z_]\w*(?:\.[a-z_]\w*)*)\s*-?\}\}$/i;
// What LiquidJS answers for any text or list.
const COMPUTED_NAMES: ReadonlySet<string> = new Set(['size', 'first', 'last']);
// As LiquidJS's `escape` has them.
const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

const TAG_START_PATTERN = /\{[{%]/g;

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_PATTERN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

const html = newEngine({ outputEscape: 'escape' });
const plain = newEngine({});

/**
 * Makes content ready to be rendered.
 * @throws {InvalidInputError} with a fault for each template that does not parse.
 */
export function compileContent(content: Content): CompiledContent {
  return content.template === 'liquid' ? new LiquidContent(content) : new FixedContent(content);
}

/** What was given is sent as it is, so everybody gets the same. */
class FixedContent implements CompiledContent {
  readonly #content: Content;
  #rendered: Rendered | undefined;

  constructor(content: Content) {
    this.#content = content;
  }

  render(): Rendered {
    this.#rendered ??= renderFixed(this.#content);
    return this.#rendered;
  }
}

class LiquidContent implements CompiledContent {
  readonly #subject: ParsedPart;
  readonly #body: ParsedPart;
  /** Absent where the text is made from the HTML of each recipient. */
  readonly #text: ParsedPart | undefined;

  constructor(content: Content) {
    const faults: Fault[] = [];
    this.#subject = parsePart('subject', content.subject, faults);
    this.#body = parsePart('body', content.body, faults);
    this.#text = content.text === undefined ? undefined : parsePart('text', content.text, faults);
    if (faults.length > 0) {
      throw new InvalidInputError(faults);
    }
    this.#text ??= parseDerivedText(content.body);
  }

  render(recipient: Recipient, variables: MailVariables = {}): Rendered {
    const scope = { ...scopeOf(recipient), ...variables };
    const subject = renderPart(this.#subject, scope);
    const body = renderPart(this.#body, scope);
    const text = this.#text && renderPart(this.#text, scope);
    return {
      // An attribute with a line break would otherwise add headers of its own.
      subject: subject.whole.replace(CONTROL_PATTERN, ' ').toWellFormed().trim(),
      html: body.whole,
      text: text?.whole ?? htmlToText(body.whole),
      merge: body.merged && text?.merged && { html: body.merged, text: text.merged },
    };
  }
}

interface ParsedPart {
  readonly part: Part;
  readonly form: Form;
}

/** What is always there, and what is not. */
interface Form {
  readonly literals: readonly string[];
  /** `{{ … }}` and `{% … %}`, one between two literals. */
  readonly pieces: readonly Piece[];
}

interface Piece {
  readonly template: LiquidTemplate;
  /** Of `{{ subscriber.name }}`, `subscriber` and `name`; absent of anything that has more to it. */
  readonly path: readonly string[] | undefined;
}

interface RenderedPart {
  readonly whole: string;
  /** Absent where it ended before its end. */
  readonly merged: MergedPart | undefined;
}

const EMPTY: Form = { literals: [''], pieces: [] };

function renderFixed({ subject, body, text = htmlToText(body) }: Content): Rendered {
  const merge = { html: { literals: [body], values: [] }, text: { literals: [text], values: [] } };
  return { subject, html: body, text, merge };
}

function newEngine(options: LiquidOptions): Liquid {
  const engine = new Liquid({
    ...options,
    templates: {}, // in place of the file system
    ownPropertyOnly: true, // `constructor` and the like are no attributes
    strictFilters: true, // a misspelt filter is found when the message is scheduled
    parseLimit: MAX_TEMPLATE_LENGTH,
    renderLimit: RENDER_LIMIT_MS,
    memoryLimit: MEMORY_LIMIT,
    timezoneOffset: 0, // dates come out the same on every machine
  });
  for (const tag of WITHHELD_TAGS) {
    delete engine.tags[tag];
  }
  for (const filter of ['escape', 'escape_once', 'xml_escape']) {
    markAsEscaped(engine, filter);
  }
  return engine;
}

/** Otherwise `{{ name | escape }}`, as templates from elsewhere have it, would come out escaped twice. */
function markAsEscaped(engine: Liquid, name: string): void {
  const filter = engine.filters[name];
  if (filter !== undefined) {
    engine.registerFilter(name, {
      handler: typeof filter === 'function' ? filter : filter.handler,
      raw: true,
    });
  }
}

function parsePart(part: Part, source: string, faults: Fault[]): ParsedPart {
  const engine = engineOf(part);
  const tags = countTags(source);
  if (tags > MAX_TAGS) {
    faults.push({
      pointer: `/${part}`,
      detail: `It has ${tags} Liquid tags and outputs; at most ${MAX_TAGS} are allowed.`,
    });
    return { part, form: EMPTY };
  }
  try {
    return { part, form: formOf(engine.parse(source), !NAMING_TAG_PATTERN.test(source)) };
  } catch (error) {
    faults.push({ pointer: `/${part}`, detail: `It is no Liquid template: ${messageOf(error)}.` });
    return { part, form: EMPTY };
  }
}

function formOf(templates: readonly LiquidTemplate[], hasPaths: boolean): Form {
  const literals: string[] = [];
  const pieces: Piece[] = [];
  let literal = '';
  for (const template of templates) {
    if (TypeGuards.isHTMLToken(template.token)) {
      literal += template.token.getContent(); // without what `{{-` takes away from it
    } else {
      literals.push(literal);
      pieces.push({ template, path: hasPaths ? pathOf(template.token.getText()) : undefined });
      literal = '';
    }
  }
  return { literals: [...literals, literal], pieces };
}

function pathOf(source: string): readonly string[] | undefined {
  const path = PATH_PATTERN.exec(source)?.[1]?.split('.');
  return path?.some((name) => COMPUTED_NAMES.has(name)) === true ? undefined : path;
}

/** Absent where there is none that comes to the same as the text of the rendered HTML. */
function parseDerivedText(body: string): ParsedPart | undefined {
  const source = liquidHtmlToText(body);
  const faults: Fault[] = [];
  const parsed = source === undefined ? undefined : parsePart('text', source, faults);
  return faults.length === 0 ? parsed : undefined;
}

/**
 * Renders it once more where it failed without having used its time: LiquidJS goes by the wall clock, and a process that stood still
 * meanwhile (a frozen machine, a signal) is no fault of the template. What is, fails again.
 */
function renderPart(parsed: ParsedPart, scope: object): RenderedPart {
  const begun = cpuLately();
  try {
    return tryRenderPart(parsed, scope);
  } catch (error) {
    if (!(error instanceof RenderError) || cpuMs() - begun > RENDER_LIMIT_MS / 2) {
      throw error;
    }
    return tryRenderPart(parsed, scope);
  }
}

let lately = { cpuMs: 0, atMs: Number.NEGATIVE_INFINITY };

/** As `cpuMs`, or up to `LATELY_MS` of the clock before: asking the system for each part takes longer than to render some. */
function cpuLately(): number {
  const atMs = performance.now();
  if (atMs - lately.atMs > LATELY_MS) {
    lately = { cpuMs: cpuMs(), atMs };
  }
  return lately.cpuMs;
}

/** Of this thread, so far. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage(); // in microseconds
  return (user + system) / 1_000;
}

function tryRenderPart({ part, form }: ParsedPart, scope: object): RenderedPart {
  const engine = engineOf(part);
  // One for the whole part, however many pieces it is rendered in: its limits of time and memory are for all of them together.
  const context = new Context(scope, engine.options, { sync: true }, { liquid: engine });
  const values: string[] = [];
  for (const piece of form.pieces) {
    values.push(plainValue(part, piece, scope) ?? renderPiece(part, piece, context));
    if (context.breakCalled || context.continueCalled) {
      break; // outside of a loop it ends the template
    }
  }
  const isWhole = !context.breakCalled && !context.continueCalled;
  const merged = { literals: isWhole ? form.literals : form.literals.slice(0, values.length), values };
  const whole = joined(merged);
  if (whole.length > MAX_RENDERED_LENGTH) {
    throw new RenderError(part, `it comes to ${whole.length} characters`);
  }
  return { whole, merged: isWhole ? merged : undefined };
}

/** What a mere name says, without LiquidJS, which takes ten times as long for it; absent where that is not plainly text or a number. */
function plainValue(part: Part, { path }: Piece, scope: object): string | undefined {
  let value: unknown = path && scope;
  for (const name of path ?? []) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) {
      return undefined;
    }
    value = Reflect.get(value, name);
  }
  if (typeof value !== 'string' && typeof value !== 'number') {
    return undefined;
  }
  const text = String(value);
  return part === 'body' ? text.replaceAll(/[&<>"']/g, (character) => ESCAPED[character] ?? '') : text;
}

function renderPiece(part: Part, { template }: Piece, context: Context): string {
  try {
    return String(engineOf(part).renderSync([template], context));
  } catch (error) {
    throw new RenderError(part, messageOf(error), { cause: error });
  }
}

/** Put together piece by piece, of which V8 makes one text only where somebody reads it. */
export function joined({ literals, values }: MergedPart): string {
  let whole = '';
  for (const [index, literal] of literals.entries()) {
    whole += literal;
    whole += values[index] ?? '';
  }
  return whole;
}

function engineOf(part: Part): Liquid {
  return part === 'body' ? html : plain;
}

function scopeOf({ email, name, attributes }: Recipient): object {
  const subscriber = { email, name: name ?? '', attributes };
  return { subscriber, ...subscriber };
}

function countTags(source: string): number {
  return source.match(TAG_START_PATTERN)?.length ?? 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
