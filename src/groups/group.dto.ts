import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Allow, IsIn, IsNumber, IsOptional, IsTimeZone, Max, Min, ValidateIf } from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import { SEND_RATE_MAX, SEND_RATE_MIN } from '../platform/config/settings.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import type { Group, GroupSettings } from './group.ts';
import { type Language, LANGUAGES } from './language.ts';
import {
  GROUP_KINDS,
  type GroupKind,
  IsListUrl,
  LIST_URL_MAX_LENGTH,
  OPT_INS,
  type OptIn,
  USUAL_MAILING,
} from './mailing-settings.ts';
import { EMAIL_MAX_LENGTH, IsBareAddress, IsMailbox, MAILBOX_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import {
  parseSendWindow,
  type SendWindow,
  WEEKDAYS,
  type Weekday,
  WINDOW_ZONES,
  windowFields,
  type WindowZone,
} from './send-window.ts';

const SEND_RATE_FAULT = `Mails per second are needed: a number from ${SEND_RATE_MIN} to ${SEND_RATE_MAX}.`;
const DISPLAY_NAME_MAX_LENGTH = 100;
const POSTAL_ADDRESS_MAX_LENGTH = 300;
const TIME_ZONE_FAULT = 'An IANA time zone is needed, such as Europe/Paris.';

/** When deliveries may go, as a body and an answer have it. */
class SendWindowView {
  @ApiProperty({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$', example: '08:00' })
  readonly from!: string;

  @ApiProperty({
    pattern: '^([01]\\d|2[0-3]):[0-5]\\d$',
    description: 'Not included; a time before from is one of the next day.',
    example: '20:00',
  })
  readonly to!: string;

  @ApiPropertyOptional({
    enum: WEEKDAYS,
    isArray: true,
    minItems: 1,
    maxItems: WEEKDAYS.length,
    description: 'Days on which it begins; all of them where left out.',
    example: WEEKDAYS,
  })
  readonly days?: readonly Weekday[];

  @ApiPropertyOptional({
    enum: WINDOW_ZONES,
    default: 'group',
    description:
      "Whose clock it goes by; a subscriber without a zone has the group's, a group without one UTC.",
    example: 'group',
  })
  readonly zone?: WindowZone;
}

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

  @ApiPropertyOptional({
    type: Number,
    nullable: true,
    minimum: SEND_RATE_MIN,
    maximum: SEND_RATE_MAX,
    description:
      'Mails per second to the group, of all messages together; where null, as fast as MAX_SEND_RATE allows.',
    example: 100,
  })
  @IsOptional()
  @IsNumber({ allowNaN: false, allowInfinity: false }, { message: SEND_RATE_FAULT })
  @Min(SEND_RATE_MIN, { message: SEND_RATE_FAULT })
  @Max(SEND_RATE_MAX, { message: SEND_RATE_FAULT })
  readonly max_send_rate?: number | null;

  @ApiPropertyOptional({
    enum: GROUP_KINDS,
    default: 'bulk',
    description:
      'bulk: every mail says how to unsubscribe. transactional: none does, so this is only for mail that answers what its reader did.',
    example: 'bulk',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(GROUP_KINDS, { message: `One of ${GROUP_KINDS.join(', ')} is needed.` })
  readonly kind?: GroupKind;

  @ApiPropertyOptional({
    enum: OPT_INS,
    default: 'single',
    description: 'double: who is added is pending until they confirm that the address is theirs.',
    example: 'single',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(OPT_INS, { message: `One of ${OPT_INS.join(', ')} is needed.` })
  readonly opt_in?: OptIn;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: DISPLAY_NAME_MAX_LENGTH,
    description: 'What people see it called in List-Id, footers and pages; its name where null.',
    example: 'Serverless workshop',
  })
  @IsOptional()
  @IsText({ min: 1, max: DISPLAY_NAME_MAX_LENGTH })
  readonly display_name?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    maxLength: LIST_URL_MAX_LENGTH,
    description: 'The header List-Help: a URL with https or mailto.',
    example: 'https://example.com/help',
  })
  @IsOptional()
  @IsListUrl()
  readonly list_help?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    maxLength: LIST_URL_MAX_LENGTH,
    description: 'The header List-Owner: a URL with https or mailto.',
    example: 'mailto:workshop@example.com',
  })
  @IsOptional()
  @IsListUrl()
  readonly list_owner?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    maxLength: EMAIL_MAX_LENGTH,
    description:
      'Stands in List-Unsubscribe beside the link. Somebody must read what arrives there: Belfry does not.',
    example: 'leave@example.com',
  })
  @IsOptional()
  @IsBareAddress()
  readonly unsubscribe_mailto?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: POSTAL_ADDRESS_MAX_LENGTH,
    description: "The sender's, which many countries want in bulk mail; stands in the footer.",
    example: 'Example Ltd, 1 Example Street, London',
  })
  @IsOptional()
  @IsText({ min: 1, max: POSTAL_ADDRESS_MAX_LENGTH, multiline: true })
  readonly postal_address?: string | null;

  @ApiPropertyOptional({
    enum: LANGUAGES,
    nullable: true,
    description:
      'Of footers, pages and confirmations for those whose attribute language (or lang) names none of these; English where null.',
    example: 'en',
  })
  @IsOptional()
  @IsIn(LANGUAGES, { message: `One of ${LANGUAGES.join(', ')} is needed.` })
  readonly language?: Language | null;

  @ApiPropertyOptional({
    type: SendWindowView,
    nullable: true,
    description:
      'When deliveries to the group may go. Outside it they wait for its next start; a message that runs over its end goes on then. Where null, they go at any time.',
  })
  @Allow()
  readonly send_window?: unknown;
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

  @ApiProperty({ type: Number, nullable: true, description: 'Mails per second.', example: 100 })
  readonly max_send_rate!: number | null;

  @ApiProperty({ enum: GROUP_KINDS, example: 'bulk' })
  readonly kind!: GroupKind;

  @ApiProperty({ enum: OPT_INS, example: 'single' })
  readonly opt_in!: OptIn;

  @ApiProperty({ type: String, nullable: true, example: 'Serverless workshop' })
  readonly display_name!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'https://example.com/help' })
  readonly list_help!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'mailto:workshop@example.com' })
  readonly list_owner!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'leave@example.com' })
  readonly unsubscribe_mailto!: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'Example Ltd, 1 Example Street, London' })
  readonly postal_address!: string | null;

  @ApiProperty({ enum: LANGUAGES, nullable: true, example: 'en' })
  readonly language!: Language | null;

  @ApiProperty({ type: SendWindowView, nullable: true, description: 'Where null, at any time.' })
  readonly send_window!: SendWindowView | null;

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
    maxSendRate: body.max_send_rate ?? undefined,
    kind: body.kind ?? USUAL_MAILING.kind,
    optIn: body.opt_in ?? USUAL_MAILING.optIn,
    displayName: body.display_name ?? undefined,
    listHelp: body.list_help ?? undefined,
    listOwner: body.list_owner ?? undefined,
    unsubscribeMailto: body.unsubscribe_mailto ?? undefined,
    postalAddress: body.postal_address ?? undefined,
    language: body.language ?? undefined,
    sendWindow: readSendWindow(body.send_window),
  };
}

function readSendWindow(value: unknown): SendWindow | undefined {
  return value === undefined || value === null ? undefined : parseSendWindow(value, '/send_window');
}

export function viewGroup(group: Group): GroupView {
  return {
    group_name: group.name,
    from: group.from ?? null,
    reply_to: group.replyTo ?? null,
    time_zone: group.timeZone ?? null,
    max_send_rate: group.maxSendRate ?? null,
    kind: group.kind,
    opt_in: group.optIn,
    display_name: group.displayName ?? null,
    list_help: group.listHelp ?? null,
    list_owner: group.listOwner ?? null,
    unsubscribe_mailto: group.unsubscribeMailto ?? null,
    postal_address: group.postalAddress ?? null,
    language: group.language ?? null,
    send_window: group.sendWindow ? windowFields(group.sendWindow) : null,
    date_added: formatInstant(group.addedAt),
    subscribers: group.counts,
    version: group.version,
  };
}
