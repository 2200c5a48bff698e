import { ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsOptional, ValidateBy } from 'class-validator';
import { IsText } from './is-plain-text.ts';

const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
// A cursor holds a position (an address, or a time and a key), base64 and a signature.
const CURSOR_MAX_LENGTH = 1_024;

/** What every list takes. */
export class ListQuery {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: PAGE_MAX,
    default: PAGE_DEFAULT,
    description: 'Items a page.',
  })
  @IsOptional()
  @Type(() => Number)
  @IsPageLimit()
  readonly limit: number = PAGE_DEFAULT;

  @ApiPropertyOptional({
    description: 'next_cursor of the page before, as it is.',
    minLength: 1,
    maxLength: CURSOR_MAX_LENGTH,
  })
  @IsOptional()
  @IsText({ min: 1, max: CURSOR_MAX_LENGTH })
  readonly cursor?: string;
}

/** One rule, so that one mistake is told once. */
function IsPageLimit(): PropertyDecorator {
  return ValidateBy({
    name: 'isPageLimit',
    validator: {
      validate: (value: unknown) =>
        typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= PAGE_MAX,
      defaultMessage: () => `A whole number from 1 to ${PAGE_MAX} is needed.`,
    },
  });
}

/** One page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** For the next page; null on the last one. */
  readonly next_cursor: string | null;
}

/**
 * Makes a page out of one item more than the page holds: the extra one only says that there is a next page.
 * @param seal makes the cursor out of the last item of the page.
 */
export function pageOf<Item, Shown>(
  found: readonly Item[],
  limit: number,
  show: (item: Item) => Shown,
  seal: (last: Item) => string,
): Page<Shown> {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return {
    items: items.map(show),
    next_cursor: found.length > limit && last !== undefined ? seal(last) : null,
  };
}
