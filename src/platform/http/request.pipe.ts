import { type ArgumentMetadata, Injectable, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type Fault, InvalidInputError } from '../errors/domain-error.ts';
import { readPlainDto } from './plain-dto.ts';

const PLAIN_TYPES: readonly unknown[] = [undefined, Object, Array, String, Number, Boolean];
const MAX_FAULTS = 100;
const NO_BODY: Fault = { pointer: '', detail: 'The request has no body; a JSON object is needed.' };

/** Carries class-validator's findings to where it is known what they are about. */
class Findings extends Error {
  readonly errors: readonly ValidationError[];

  constructor(errors: readonly ValidationError[]) {
    super('A request did not match its DTO.');
    this.errors = errors;
  }
}

/** Checks every DTO and refuses what it does not name; all faults are told at once, each with its pointer. */
@Injectable()
export class RequestPipe extends ValidationPipe {
  constructor() {
    super({
      whitelist: true,
      forbidNonWhitelisted: true,
      transform: true,
      stopAtFirstError: false,
      exceptionFactory: (errors) => new Findings(errors),
    });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    const isBody = metadata.type === 'body';
    if (isBody && value !== undefined && isDto(metadata) && !isJsonObject(value)) {
      throw new InvalidInputError([{ pointer: '', detail: 'The body must be a JSON object.' }]);
    }
    const plain = isBody ? readPlainDto(metadata.metatype, value) : undefined;
    if (plain) {
      return plain;
    }
    try {
      const checked: unknown = await super.transform(value, metadata);
      if (isBody && value === undefined && isDto(metadata)) {
        // Where every property may be left out, nothing is missing but the body: never what was meant.
        throw new InvalidInputError([NO_BODY]);
      }
      return checked;
    } catch (error) {
      if (!(error instanceof Findings)) {
        throw error;
      }
      const faults = error.errors.flatMap((finding) => faultsOf(finding, isBody ? '/' : ''));
      const missing = isBody && value === undefined ? [NO_BODY] : [];
      throw new InvalidInputError([...missing, ...firstOf(faults)], { cause: error });
    }
  }
}

/** Enough to mend a request by; a thousand wrong entries would make an answer larger than the request. */
function firstOf(faults: readonly Fault[]): readonly Fault[] {
  if (faults.length <= MAX_FAULTS) {
    return faults;
  }
  const rest = faults.length - MAX_FAULTS;
  return [...faults.slice(0, MAX_FAULTS), { pointer: '', detail: `There are ${rest} more faults.` }];
}

/** Parameters of the path and the query are named, not pointed to. */
function faultsOf(finding: ValidationError, prefix: string): readonly Fault[] {
  const pointer = `${prefix}${finding.property.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const unknown = `This is an unknown ${prefix === '' ? 'parameter' : 'property'}.`;
  const own = Object.entries(finding.constraints ?? {}).map(([rule, message]) => ({
    pointer,
    detail: rule === 'whitelistValidation' ? unknown : sentence(message),
  }));
  return [...own, ...(finding.children ?? []).flatMap((child) => faultsOf(child, `${pointer}/`))];
}

function isDto({ metatype }: ArgumentMetadata): boolean {
  return !PLAIN_TYPES.includes(metatype);
}

function isJsonObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sentence(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}
