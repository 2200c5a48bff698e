import { Injectable, Param, type PipeTransform } from '@nestjs/common';
import { InvalidInputError } from '../../platform/errors/domain-error.ts';
import { type ImportKey, isImportKey } from './import-job.ts';

@Injectable()
class ImportKeyPipe implements PipeTransform<string, ImportKey | 'latest'> {
  transform(text: string): ImportKey | 'latest' {
    const key = text.toLowerCase();
    if (key !== 'latest' && !isImportKey(key)) {
      throw new InvalidInputError([
        {
          pointer: 'key',
          detail:
            'The key of an import is a UUIDv7, as POST …/imports answers it; latest stands for the import added last.',
        },
      ]);
    }
    return key;
  }
}

export const IMPORT_PARAM_DOCS = {
  name: 'key',
  description: 'The key of the import; latest stands for the import of the group that was added last.',
  schema: {
    type: 'string',
    pattern:
      '^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12})$',
    example: 'latest',
  },
};

/** The import that the path names, or `latest`: whichever of the group was added last. */
export const ImportParam = (): ParameterDecorator => Param('key', ImportKeyPipe);
