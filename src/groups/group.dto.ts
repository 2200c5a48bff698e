import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsOptional, IsTimeZone } from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import type { Group, GroupSettings } from './group.ts';
import { IsMailbox, MAILBOX_MAX_LENGTH } from '../platform/mail/mailbox.ts';

const TIME_ZONE_FAULT = 'An IANA time zone is needed, such as Europe/Paris.';

/** What PUT …/groups/{group} takes; what is left out is emptied. */
export class GroupBody {
  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: MAILBOX_MAX_LENGTH,
    description: 'Sender of the messages that name none; where null, MAIL_FROM is.',
    example: 'Serverless workshop <workshop@example.com>',
  })
  @IsOptional()
  @IsMailbox()
  readonly from?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: MAILBOX_MAX_LENGTH,
    example: 'help@example.com',
  })
  @IsOptional()
  @IsMailbox()
  readonly reply_to?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    description: 'An IANA name.',
    example: 'Europe/Paris',
  })
  @IsOptional()
  @IsTimeZone({ message: TIME_ZONE_FAULT })
  readonly time_zone?: string | null;
}

class SubscriberCountsView {
  @ApiProperty({ type: 'integer', example: 198 })
  readonly active!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly pending!: number;

  @ApiProperty({ type: 'integer', example: 2 })
  readonly unsubscribed!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly bounced!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly complained!: number;
}

/** A group as the API shows it. */
export class GroupView {
  @ApiProperty({ example: 'serverless' })
  readonly group_name!: string;

  @ApiProperty({ type: String, nullable: true, example: 'Serverless workshop <workshop@example.com>' })
  readonly from!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'help@example.com' })
  readonly reply_to!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'Europe/Paris' })
  readonly time_zone!: string | null;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly date_added!: string;

  @ApiProperty({ description: 'Subscribers by status.' })
  readonly subscribers!: SubscriberCountsView;

  @ApiProperty({ type: 'integer', example: 1 })
  readonly version!: number;
}

export function readGroupSettings(body: GroupBody): GroupSettings {
  return {
    from: body.from ?? undefined,
    replyTo: body.reply_to ?? undefined,
    timeZone: body.time_zone ?? undefined,
  };
}

export function viewGroup(group: Group): GroupView {
  return {
    group_name: group.name,
    from: group.from ?? null,
    reply_to: group.replyTo ?? null,
    time_zone: group.timeZone ?? null,
    date_added: formatInstant(group.addedAt),
    subscribers: group.counts,
    version: group.version,
  };
}
