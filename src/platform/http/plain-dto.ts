import type { Type } from '@nestjs/common';
import { getMetadataStorage, type ValidationArguments, ValidationTypes } from 'class-validator';

type ValidationMetadata = ReturnType<
  ReturnType<typeof getMetadataStorage>['getTargetValidationMetadatas']
>[number];

type Rule = (dto: object, value: unknown) => unknown;

/** The rules of one property of a DTO. */
interface Property {
  readonly name: string;
  /** It is looked at where all of these say so. */
  readonly conditions: readonly Rule[];
  readonly rules: readonly Rule[];
  /** Whether there is more to it than its own rules, where it is there at all. */
  readonly isNested: boolean;
}

type Properties = ReadonlyMap<string, Property>;

const plainDtos = new WeakSet<object>();
const propertiesOf = new WeakMap<object, Properties>();

/**
 * Says of a DTO that nothing in it is transformed. One that is asked for all the time has it: class-validator puts the rules of a class together
 * anew for each request, which takes many times as long as to check them.
 */
export function PlainDto(): ClassDecorator {
  return (dto) => {
    plainDtos.add(dto);
  };
}

/**
 * The DTO that `body` is, where that is plain to see: its class is a PlainDto, all values are simple, and none breaks a rule. Otherwise
 * `undefined`, and the whole of class-validator decides, and says what is wrong.
 */
export function readPlainDto(dtoClass: Type<object> | undefined, body: unknown): object | undefined {
  if (!dtoClass || !plainDtos.has(dtoClass) || typeof body !== 'object' || body === null) {
    return undefined;
  }
  const properties = gatherProperties(dtoClass);
  for (const [name, value] of Object.entries(body)) {
    if (!properties.has(name) || (typeof value === 'object' && value !== null)) {
      return undefined;
    }
  }
  const dto = Object.assign(new dtoClass(), body);
  for (const property of properties.values()) {
    if (!keepsRules(dto, property)) {
      return undefined;
    }
  }
  return dto;
}

function keepsRules(dto: object, { name, conditions, rules, isNested }: Property): boolean {
  const value: unknown = Reflect.get(dto, name);
  if (!conditions.every((applies) => Boolean(applies(dto, value)))) {
    return true;
  }
  // `true` and nothing else: an asynchronous rule answers with a promise.
  return rules.every((rule) => rule(dto, value) === true) && (!isNested || value === undefined);
}

function gatherProperties(dtoClass: Type<object>): Properties {
  const known = propertiesOf.get(dtoClass);
  if (known) {
    return known;
  }
  const storage = getMetadataStorage();
  const all = storage.getTargetValidationMetadatas(dtoClass, '', false, false);
  const properties = new Map(
    Object.entries(storage.groupByPropertyName(all)).map(([name, metadata]) => [
      name,
      propertyOf(dtoClass, name, metadata),
    ]),
  );
  propertiesOf.set(dtoClass, properties);
  return properties;
}

function propertyOf(dtoClass: Type<object>, name: string, metadata: readonly ValidationMetadata[]): Property {
  const of = (type: string): readonly ValidationMetadata[] => metadata.filter((one) => one.type === type);
  const conditions = of(ValidationTypes.CONDITIONAL_VALIDATION);
  const customs = of(ValidationTypes.CUSTOM_VALIDATION);
  const nested = of(ValidationTypes.NESTED_VALIDATION);
  const allowed = of(ValidationTypes.WHITELIST);
  const isKnown = conditions.length + customs.length + nested.length + allowed.length === metadata.length;
  if (!isKnown || customs.some(({ each, validateIf }) => each || validateIf !== undefined)) {
    throw new Error(`${dtoClass.name}.${name} has rules that a PlainDto cannot have.`);
  }
  return {
    name,
    conditions: conditions.map(conditionOf),
    rules: customs.flatMap((custom) => rulesOf(dtoClass, custom)),
    isNested: nested.length > 0,
  };
}

/** What ValidateIf and IsOptional were given. */
function conditionOf({ constraints }: ValidationMetadata): Rule {
  const given: readonly unknown[] = constraints;
  const condition = given[0];
  if (typeof condition !== 'function') {
    throw new TypeError('A condition of class-validator is no function.');
  }
  return (dto, value) => {
    const applies: unknown = Reflect.apply(condition, undefined, [dto, value]);
    return applies;
  };
}

function rulesOf(dtoClass: Type<object>, metadata: ValidationMetadata): readonly Rule[] {
  const { propertyName: property, constraints, constraintCls } = metadata;
  return getMetadataStorage()
    .getTargetValidatorConstraints(constraintCls)
    .map(({ instance }) => (object, value) => {
      const args: ValidationArguments = { targetName: dtoClass.name, property, object, value, constraints };
      return instance.validate(value, args);
    });
}
