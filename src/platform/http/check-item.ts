import type { Type } from '@nestjs/common';
import { type Fault, InvalidInputError } from '../errors/domain-error.ts';
import { RequestPipe } from './request.pipe.ts';

export type CheckedItem<Item> =
  | { readonly kind: 'valid'; readonly item: Item }
  | { readonly kind: 'invalid'; readonly faults: readonly Fault[] };

const pipe = new RequestPipe();

/** Checks one of many items of a body by itself, so that those that are refused keep none of the others out; `pointer` says where it is. */
export async function checkItem<Dto extends object, Item>(
  dto: Type<Dto>,
  item: unknown,
  pointer: string,
  read: (checked: Dto) => Item,
): Promise<CheckedItem<Item>> {
  try {
    const checked: unknown = await pipe.transform(item, { type: 'body', metatype: dto });
    if (!(checked instanceof dto)) {
      throw new Error(`The pipe has made something else than a ${dto.name}.`);
    }
    return { kind: 'valid', item: read(checked) };
  } catch (error) {
    if (!(error instanceof InvalidInputError)) {
      throw error;
    }
    return {
      kind: 'invalid',
      faults: error.faults.map((fault) => ({ ...fault, pointer: `${pointer}${fault.pointer}` })),
    };
  }
}
