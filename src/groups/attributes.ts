import { ValidateBy } from 'class-validator';
import { textFault } from '../platform/http/is-plain-text.ts';
import type { Attributes } from './subscriber.ts';

// Enough for what templates need; a DynamoDB item holds 400 KB in all, and a batch reads 50 of them.
export const ATTRIBUTES_MAX_LENGTH = 8_192;
const MAX_DEPTH = 5;
const MAX_KEY_LENGTH = 128;

/** A JSON object of bounded size and depth, every text of which can be stored and sent. */
export function IsAttributes(): PropertyDecorator {
  return ValidateBy({
    name: 'isAttributes',
    validator: {
      validate: (value: unknown) => attributesFault(value) === undefined,
      defaultMessage: (args) => attributesFault(args?.value) ?? 'These are not valid attributes.',
    },
  });
}

/** What keeps `value` from being attributes, as a sentence; absent where nothing does. */
export function attributesFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'It must be a JSON object.';
  }
  const fault = nestedFault(value, 1);
  if (fault !== undefined) {
    return fault;
  }
  const length = JSON.stringify(value).length;
  return length > ATTRIBUTES_MAX_LENGTH
    ? `It has ${length} characters as JSON; at most ${ATTRIBUTES_MAX_LENGTH} are allowed.`
    : undefined;
}

function nestedFault(value: unknown, depth: number): string | undefined {
  if (typeof value === 'string') {
    return textFault(value, { min: 0, max: ATTRIBUTES_MAX_LENGTH, multiline: true });
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return 'It has a number that is too large to be kept.'; // 1e400, which would be stored as null
  }
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  if (depth > MAX_DEPTH) {
    return `It is nested more than ${MAX_DEPTH} deep.`;
  }
  for (const [key, child] of Object.entries(value)) {
    const fault = attributeNameFault(key) ?? nestedFault(child, depth + 1);
    if (fault !== undefined) {
      return fault;
    }
  }
  return undefined;
}

/** What keeps `name` from being that of an attribute, as a sentence; absent where nothing does. */
export function attributeNameFault(name: string): string | undefined {
  return name === '__proto__'
    ? 'It has a property named __proto__, which is refused.'
    : textFault(name, { min: 1, max: MAX_KEY_LENGTH });
}

/** Reads attributes as stores keep them, as JSON; throws on anything but an object, which is a defect of the store. */
export function parseAttributes(json: string): Attributes {
  const value: unknown = JSON.parse(json);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('Attributes must be a JSON object.');
  }
  return { ...value };
}
