import { ValidateBy } from 'class-validator';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { readTime } from './schedule-time.ts';

/** A time in a form that `readTime` takes; the message says what is wrong with another one. Of an object, whoever reads it says so, with the place in it. */
export function IsScheduleTime(): PropertyDecorator {
  return ValidateBy({
    name: 'isScheduleTime',
    validator: {
      validate: (value: unknown) => timeFault(value) === undefined,
      defaultMessage: (args) => timeFault(args?.value) ?? 'This is not a time.',
    },
  });
}

function timeFault(value: unknown): string | undefined {
  if (value === undefined) {
    return 'It is missing; a time is needed.';
  }
  try {
    if (!isObject(value)) {
      readTime(value, '');
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) {
      throw error;
    }
    return error.faults.map((fault) => fault.detail).join(' ');
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
