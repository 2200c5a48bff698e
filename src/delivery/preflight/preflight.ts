import { Injectable } from '@nestjs/common';
import { GroupStore } from '../../groups/group-store.ts';
import type { GroupName } from '../../groups/group.ts';
import { USUAL_MAILING } from '../../groups/mailing-settings.ts';
import { SubscriberStore } from '../../groups/subscriber-store.ts';
import { parseEmail, type Subscriber, subscriberKey } from '../../groups/subscriber.ts';
import { SuppressionStore } from '../../groups/suppression-store.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { parseMailbox } from '../../platform/mail/mailbox.ts';
import { RenderError } from '../../schedule/compiled-content.ts';
import type { Message } from '../../schedule/message.ts';
import { Channel, type Mail } from '../channels/channel.ts';
import { MailMakers } from '../mail-maker.ts';
import type { Quota } from '../rate/pace.ts';
import { RateStore } from '../rate/rate-store.ts';
import { audienceFindings } from './audience-rules.ts';
import { DomainRecords } from './domain-records.ts';
import { domainFindings } from './domain-rules.ts';
import { type Finding, finding } from './finding.ts';
import { mailFindings } from './mail-rules.ts';
import { providerFindings } from './provider-rules.ts';

// Each is looked up in the group: some hundred milliseconds on DynamoDB.
const SUPPRESSIONS_MAX = 500;

const template = finding('template', 'Belfry: a mail is made of the content as it would go out');
const fromRule = finding('from-address', 'RFC 5322, 3.6.2');

/** Looks at a message before it goes: may it be sent, and will it arrive? Changes nothing and sends nothing. */
@Injectable()
export class Preflight {
  constructor(
    private readonly makers: MailMakers,
    private readonly groups: GroupStore,
    private readonly subscribers: SubscriberStore,
    private readonly suppressions: SuppressionStore,
    private readonly rates: RateStore,
    private readonly records: DomainRecords,
    private readonly channel: Channel,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /** @throws {ContentDamagedError} where the content is not what was scheduled. */
  async check(message: Message): Promise<readonly Finding[]> {
    const group = await this.groups.find(message.group);
    const from = message.from ?? group?.from ?? this.settings.mailFrom;
    const mailing = group ?? USUAL_MAILING;
    const [ofSender, mail, suppressed, quota] = await Promise.all([
      this.#senderFindings(from),
      this.#sample(message),
      this.#suppressed(message.group),
      this.#quota(),
    ]);
    const rates = [this.settings.maxSendRate, group?.maxSendRate, quota?.rate].filter(
      (rate) => rate !== undefined,
    );
    return [
      ...ofSender,
      ...('rule' in mail
        ? [mail]
        : mailFindings(mail, {
            kind: mailing.kind,
            postalAddress: mailing.postalAddress,
            publicUrl: this.settings.publicUrl,
          })),
      ...audienceFindings({
        group,
        suppressed,
        quotaLeft: quota?.left,
        rate: rates.length === 0 ? undefined : Math.min(...rates),
        dueAt: message.dueAt,
        now: this.clock.now(),
      }),
    ];
  }

  async #senderFindings(from: string): Promise<readonly Finding[]> {
    const parse = parseMailbox(from);
    if (parse.kind === 'invalid') {
      return [fromRule('fail', parse.detail)];
    }
    const { address } = parse.mailbox;
    const domain = address.slice(address.lastIndexOf('@') + 1);
    const [ofDomain, ofProvider] = await Promise.all([
      domainFindings(this.records, domain, this.settings.dkimSelector),
      providerFindings(this.channel, address),
    ]);
    return [fromRule('pass', `Mail is from ${domain}.`), ...ofDomain, ...ofProvider];
  }

  /** A mail as somebody would get it of whom only the address is known; or why there can be none. */
  async #sample(message: Message): Promise<Mail | Finding> {
    const maker = await this.makers.for(message);
    try {
      return await maker.make(aReader(message.group, this.clock.now()), this.clock.now());
    } catch (error) {
      if (error instanceof RenderError) {
        return template(
          'fail',
          `The template fails for somebody of whom only the address is known: ${error.message}`,
        );
      }
      throw error;
    }
  }

  async #suppressed(group: GroupName): Promise<{ readonly count: number; readonly isAll: boolean }> {
    const listed = await this.suppressions.list({ after: undefined, limit: SUPPRESSIONS_MAX + 1 });
    const looked = listed.slice(0, SUPPRESSIONS_MAX);
    const found = await Promise.all(
      looked.map(async ({ subscriber }) => this.subscribers.find(group, subscriber)),
    );
    return {
      count: found.filter((subscriber) => subscriber?.status === 'active').length,
      isAll: listed.length <= SUPPRESSIONS_MAX,
    };
  }

  /** As a worker last read it. */
  async #quota(): Promise<Quota | undefined> {
    return this.settings.mail === 'ses'
      ? this.rates.change('channel/ses', (pace) => ({
          pace: pace ?? { nextAt: this.clock.now(), lowered: undefined, quota: undefined },
          answer: pace?.quota,
        }))
      : undefined;
  }
}

function aReader(group: GroupName, joinedAt: Temporal.Instant): Subscriber {
  const parse = parseEmail('preflight@example.com');
  if (parse.kind === 'invalid') {
    throw new Error(parse.detail);
  }
  return {
    group,
    key: subscriberKey(parse.email),
    email: parse.email,
    status: 'active',
    name: undefined,
    attributes: {},
    timeZone: undefined,
    joinedAt,
    version: 1,
  };
}
