import { HttpAdapterHost } from '@nestjs/core';
import { expect, it } from 'vitest';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { PublicUrl } from '../../src/platform/http/public-url.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { CalendarLinks } from '../../src/schedule/calendar-links.ts';
import { aGroupName } from '../support/builders.ts';

const OLD = Buffer.alloc(32, 1);
const NEW = Buffer.alloc(32, 2);

function linksOf(...[first, ...older]: readonly [Buffer, ...Buffer[]]): CalendarLinks {
  const url = new PublicUrl(parseSettings({}), new HttpAdapterHost());
  return new CalendarLinks(new SigningKey(first, older), url);
}

it('opens what any of the keys has signed, signs with the first, and opens nothing that others did', () => {
  const group = aGroupName();
  const tokenOf = (links: CalendarLinks): string => links.urlOf(group).split('token=')[1] ?? '';
  const rotated = linksOf(NEW, OLD);

  expect(rotated.opens(group, tokenOf(linksOf(OLD)))).toBe(true);
  expect(tokenOf(rotated)).toBe(tokenOf(linksOf(NEW)));
  expect(linksOf(NEW).opens(group, tokenOf(linksOf(OLD)))).toBe(false);
});
