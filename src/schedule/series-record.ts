import { isGroupName } from '../groups/group.ts';
import { TEMPLATES } from './content.ts';
import { isMessageKey, ON_MISSED, ON_UNKNOWN } from './message.ts';
import { isSeriesKey } from './occurrence.ts';
import { DST_GAPS, RECURRENCE_RULES } from './recurrence.ts';
import { type NextOccurrence, type Series, SERIES_STATUSES } from './series.ts';

/*
 * A series as one JSON document, which is how both engines store it, beside what they search by. `undefined` is left out; instants and
 * local times are text, as Temporal writes them.
 */

export function encodeSeries(series: Series): string {
  return JSON.stringify(series);
}

/** Reads what `encodeSeries` made; throws on anything else, which is a defect or a damaged record. */
export function decodeSeries(stored: string): Series {
  const series = new Fields(JSON.parse(stored));
  const recurrence = series.fields('recurrence');
  const rule = recurrence.fields('rule');
  const content = series.fields('content');
  const next = series.has('next') ? series.fields('next') : undefined;
  return {
    key: series.branded('key', isSeriesKey),
    group: series.branded('group', isGroupName),
    status: series.oneOf('status', SERIES_STATUSES),
    reason: series.optional('reason', (name) => series.text(name)),
    recurrence: {
      rule: { kind: rule.oneOf('kind', RECURRENCE_RULES), text: rule.text('text') },
      start: recurrence.local('start'),
      timeZone: recurrence.text('timeZone'),
      until: recurrence.optional('until', (name) => recurrence.instant(name)),
      count: recurrence.optional('count', (name) => recurrence.number(name)),
      except: recurrence.list('except').map((value) => new Fields({ value }).text('value')),
      dstGap: recurrence.oneOf('dstGap', DST_GAPS),
    },
    revision: series.number('revision'),
    subject: series.text('subject'),
    from: series.optional('from', (name) => series.text(name)),
    replyTo: series.optional('replyTo', (name) => series.text(name)),
    content: {
      sha256: content.text('sha256'),
      bytes: content.number('bytes'),
      template: content.oneOf('template', TEMPLATES),
    },
    onMissed: series.oneOf('onMissed', ON_MISSED),
    onUnknown: series.oneOf('onUnknown', ON_UNKNOWN),
    next: next && toNext(next),
    retired: series.list('retired').map((value) => {
      const retired = new Fields(value);
      return {
        message: retired.branded('message', isMessageKey),
        local: retired.local('local'),
        reason: retired.text('reason'),
      };
    }),
    addedAt: series.instant('addedAt'),
    version: series.number('version'),
    wakeAt: series.optional('wakeAt', (name) => series.instant(name)),
  };
}

function toNext(next: Fields): NextOccurrence {
  return {
    index: next.number('index'),
    local: next.local('local'),
    at: next.instant('at'),
    bent: next.optional('bent', (name) => next.oneOf(name, ['gap', 'overlap'])),
    message: next.branded('message', isMessageKey),
    followedAt: next.optional('followedAt', (name) => next.instant(name)),
  };
}

/** An object of the document, read by name and type. */
class Fields {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(value: unknown) {
    this.#values = new Map(Object.entries(typeof value === 'object' && value !== null ? value : {}));
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  optional<Value>(name: string, read: (name: string) => Value): Value | undefined {
    return this.has(name) ? read(name) : undefined;
  }

  fields(name: string): Fields {
    return new Fields(this.#values.get(name));
  }

  list(name: string): readonly unknown[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : fault(name);
  }

  text(name: string): string {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : fault(name);
  }

  number(name: string): number {
    const value = this.#values.get(name);
    return typeof value === 'number' ? value : fault(name);
  }

  local(name: string): Temporal.PlainDateTime {
    return Temporal.PlainDateTime.from(this.text(name));
  }

  instant(name: string): Temporal.Instant {
    return Temporal.Instant.from(this.text(name));
  }

  oneOf<Literal extends string>(name: string, literals: readonly Literal[]): Literal {
    const value = this.text(name);
    return literals.find((literal) => literal === value) ?? fault(name);
  }

  branded<Branded extends string>(name: string, isBranded: (text: string) => text is Branded): Branded {
    const value = this.text(name);
    return isBranded(value) ? value : fault(name);
  }
}

function fault(name: string): never {
  throw new Error(`A stored series has no valid ${name}.`);
}
