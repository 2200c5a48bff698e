import { ValidateBy } from 'class-validator';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { parseScheduleTime } from './schedule-time.ts';

/** A time as `parseScheduleTime` reads it; the message says what is wrong with another one. */
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
    parseScheduleTime(value, '');
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) {
      throw error;
    }
    return error.faults.map((fault) => fault.detail).join(' ');
  }
}
