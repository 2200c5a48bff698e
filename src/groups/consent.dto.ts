import { ApiProperty } from '@nestjs/swagger';
import { formatInstant } from '../platform/clock/clock.ts';
import {
  CONSENT_EVENTS,
  CONSENT_WAYS,
  type ConsentEntry,
  type ConsentEvent,
  type ConsentRecord,
  type ConsentWay,
} from './consent.ts';

class ConsentEntryView {
  @ApiProperty({
    enum: CONSENT_EVENTS,
    description: 'What became of the subscription.',
    example: 'subscribed',
  })
  readonly what!: ConsentEvent;

  @ApiProperty({ enum: CONSENT_WAYS, description: 'Through what.', example: 'api' })
  readonly how!: ConsentWay;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly at!: string;

  @ApiProperty({ type: String, nullable: true, description: 'Of the person.', example: '192.0.2.1' })
  readonly ip!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What they were shown when they agreed.',
    example: 'Yes, send me news of the workshop.',
  })
  readonly wording!: string | null;

  @ApiProperty({ type: String, nullable: true, example: null })
  readonly reason!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Key of the message whose link was used, or which came back.',
    example: null,
  })
  readonly message_key!: string | null;
}

/** A consent record as the API shows it. */
export class ConsentRecordView {
  @ApiProperty({ example: 'serverless' })
  readonly group_name!: string;

  @ApiProperty({ example: 'ada@example.com' })
  readonly subscriber!: string;

  @ApiProperty({ type: [ConsentEntryView], description: 'In the order in which they were recorded.' })
  readonly entries!: readonly ConsentEntryView[];
}

export function viewConsent({ group, subscriber, entries }: ConsentRecord): ConsentRecordView {
  return { group_name: group, subscriber, entries: entries.map(viewEntry) };
}

function viewEntry({ what, how, at, ip, wording, reason, messageKey }: ConsentEntry): ConsentEntryView {
  return {
    what,
    how,
    at: formatInstant(at),
    ip: ip ?? null,
    wording: wording ?? null,
    reason: reason ?? null,
    message_key: messageKey ?? null,
  };
}
