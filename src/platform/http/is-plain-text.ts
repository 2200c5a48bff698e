import { buildMessage, ValidateBy, type ValidationOptions } from 'class-validator';

/** Lengths are in UTF-16 units, as `String.length` counts them: most characters are one, an emoji is two or more. */
export interface TextRules {
  readonly min: number;
  readonly max: number;
  /** Line breaks, tabs and other control characters are kept; NUL never is. */
  readonly multiline?: boolean;
}

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_PATTERN = /[\u0000-\u001f\u007f]/;

/** A string that every store, channel and mail header can carry. The message says which rule was broken. */
export function IsText(rules: TextRules, options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isText',
      constraints: [rules],
      validator: {
        validate: (value: unknown) => textFault(value, rules) === undefined,
        defaultMessage: (args) => {
          const message = buildMessage(
            (each) => `${each}${textFault(args?.value, rules) ?? 'is not valid text.'}`,
            options,
          );
          return message(args);
        },
      },
    },
    options,
  );
}

/** What keeps `value` from being such text, as a sentence; absent where nothing does. */
export function textFault(value: unknown, rules: TextRules): string | undefined {
  if (typeof value !== 'string') {
    return value === undefined ? 'It is missing; text is needed.' : 'It must be text.';
  }
  if (value.length < rules.min) {
    return value === ''
      ? 'It is empty.'
      : `It has ${value.length} characters; at least ${rules.min} are needed.`;
  }
  if (value.length > rules.max) {
    return `It has ${value.length} characters (UTF-16 units); at most ${rules.max} are allowed.`;
  }
  if (!value.isWellFormed()) {
    return 'It has half of a surrogate pair, which is not a character.';
  }
  if (value.includes('\0')) {
    return 'It has a NUL character.';
  }
  return rules.multiline === true ? undefined : controlFault(value);
}

function controlFault(value: string): string | undefined {
  const [control] = CONTROL_PATTERN.exec(value) ?? [];
  if (control === undefined) {
    return undefined;
  }
  if (control === '\r' || control === '\n') {
    return 'It has a line break; one line is needed.';
  }
  const code = control.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  return `It has the control character U+${code}.`;
}
