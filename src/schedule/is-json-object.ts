import { ValidateBy } from 'class-validator';

/** Beside ValidateNested, which overlooks whatever is no object, or takes each entry of an array for one. */
export function IsJsonObject(): PropertyDecorator {
  return ValidateBy({
    name: 'isJsonObject',
    validator: {
      validate: (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value),
      defaultMessage: () => 'An object is needed.',
    },
  });
}
