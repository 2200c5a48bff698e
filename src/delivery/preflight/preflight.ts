import { Injectable } from '@nestjs/common';
import { GroupStore } from '../../groups/group-store.ts';
import type { Group, GroupName } from '../../groups/group.ts';
import { USUAL_MAILING } from '../../groups/mailing-settings.ts';
import { SubscriberStore } from '../../groups/subscriber-store.ts';
import { parseEmail, type Subscriber, type SubscriberKey, subscriberKey } from '../../groups/subscriber.ts';
import { SuppressionStore } from '../../groups/suppression-store.ts';
import { Suppressions } from '../../groups/suppressions.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { PublicUrl } from '../../platform/http/public-url.ts';
import { parseMailbox } from '../../platform/mail/mailbox.ts';
import { RenderError } from '../../schedule/compiled-content.ts';
import { type Finding, finding } from '../../schedule/finding.ts';
import type { Message } from '../../schedule/message.ts';
import { Channel, type Mail } from '../channels/channel.ts';
import { MailMakers } from '../mail-maker.ts';
import type { Quota } from '../rate/pace.ts';
import { RateStore } from '../rate/rate-store.ts';
import { type Audience, audienceFindings } from './audience-rules.ts';
import { DomainRecords } from './domain-records.ts';
import { domainFindings } from './domain-rules.ts';
import { mailFindings, type MailingFacts, mailingFindings } from './mail-rules.ts';
import { providerFindings } from './provider-rules.ts';

// Each is looked up in the group: some hundred milliseconds on DynamoDB.
const SUPPRESSIONS_MAX = 500;
// A smaller group is looked through instead, which takes a few reads for each page.
const MEMBERS_MAX = 2_000;
const MEMBERS_PAGE = 500;

const template = finding('template', 'Belfry: a mail is made of the content as it would go out');
const fromRule = finding('from-address', 'RFC 5322, 3.6.2');

/** Looks at a message before it goes: may it be sent, and will it arrive? Changes nothing and sends nothing. */
@Injectable()
export class Preflight {
  constructor(
    private readonly makers: MailMakers,
    private readonly groups: GroupStore,
    private readonly subscribers: SubscriberStore,
    private readonly suppressions: Suppressions,
    private readonly suppressed: SuppressionStore,
    private readonly rates: RateStore,
    private readonly records: DomainRecords,
    private readonly channel: Channel,
    private readonly publicUrl: PublicUrl,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /** @throws {ContentDamagedError} where the content is not what was scheduled. */
  async check(message: Message): Promise<readonly Finding[]> {
    const group = await this.groups.find(message.group);
    const [ofSender, mail, ofAudience] = await Promise.all([
      this.senderFindings(this.#senderOf(message, group)),
      this.#sample(message),
      this.#audienceFindings(message, group),
    ]);
    return [
      ...ofSender,
      ...('rule' in mail ? [mail] : mailFindings(mail, this.#mailingFacts(group))),
      ...ofAudience,
    ];
  }

  /**
   * The same but for the content, which is not read: what may have changed since the message was scheduled.
   * @param senderFindings of a sender; those of `this`, or what is remembered of them.
   */
  async checkSending(
    message: Message,
    senderFindings: (from: string) => Promise<readonly Finding[]>,
  ): Promise<readonly Finding[]> {
    const group = await this.groups.find(message.group);
    const [ofSender, ofAudience] = await Promise.all([
      senderFindings(this.#senderOf(message, group)),
      this.#audienceFindings(message, group),
    ]);
    return [...ofSender, ...mailingFindings(this.#mailingFacts(group)), ...ofAudience];
  }

  /** What DNS and the provider say of a sender. Asks them anew at each call; never rejects. */
  async senderFindings(from: string): Promise<readonly Finding[]> {
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
    // Under which names SES has its keys it alone knows.
    const isTold = this.settings.dkimSelector === undefined && ofProvider.some(({ rule }) => rule === 'dkim');
    return [
      fromRule('pass', `Mail is from ${domain}.`),
      ...ofDomain.filter(({ rule }) => rule !== 'dkim' || !isTold),
      ...ofProvider.filter(({ rule }) => rule !== 'dkim' || isTold),
    ];
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

  #senderOf(message: Message, group: Group | undefined): string {
    return message.from ?? group?.from ?? this.settings.mailFrom;
  }

  #mailingFacts(group: Group | undefined): MailingFacts {
    const { kind, postalAddress } = group ?? USUAL_MAILING;
    return { kind, postalAddress, linkBase: this.publicUrl.base };
  }

  async #audienceFindings(message: Message, group: Group | undefined): Promise<readonly Finding[]> {
    const [suppressed, quota] = await Promise.all([this.#suppressedOf(message.group, group), this.#quota()]);
    const rates = [this.settings.maxSendRate, group?.maxSendRate, quota?.rate].filter(
      (rate) => rate !== undefined,
    );
    return audienceFindings({
      group,
      suppressed,
      quotaLeft: quota?.left,
      rate: rates.length === 0 ? undefined : Math.min(...rates),
      dueAt: message.dueAt,
      now: this.clock.now(),
    });
  }

  /** Looks through the group or through the list, whichever is shorter. */
  async #suppressedOf(name: GroupName, group: Group | undefined): Promise<Audience['suppressed']> {
    const active = group?.counts.active ?? 0;
    const listed = await this.suppressed.list({ after: undefined, limit: SUPPRESSIONS_MAX + 1 });
    if (active === 0 || listed.length === 0) {
      return { count: 0, isAll: true };
    }
    if (active <= MEMBERS_MAX && (active <= listed.length || listed.length > SUPPRESSIONS_MAX)) {
      return { count: await this.#countAmongMembers(name), isAll: true };
    }
    const looked = listed.slice(0, SUPPRESSIONS_MAX);
    const found = await Promise.all(looked.map(({ subscriber }) => this.subscribers.find(name, subscriber)));
    return {
      count: found.filter((subscriber) => subscriber?.status === 'active').length,
      isAll: listed.length <= SUPPRESSIONS_MAX,
    };
  }

  async #countAmongMembers(group: GroupName): Promise<number> {
    let count = 0;
    let after: SubscriberKey | undefined;
    for (let looked = 0; looked < MEMBERS_MAX; looked += MEMBERS_PAGE) {
      const page = { after, limit: MEMBERS_PAGE, status: 'active' } as const;
      const members = await this.subscribers.list(group, page);
      count += (await this.suppressions.findAmong(members.map(({ key }) => key))).size;
      after = members.at(-1)?.key;
      if (members.length < MEMBERS_PAGE) {
        break;
      }
    }
    return count;
  }

  /** As a worker last read it. */
  async #quota(): Promise<Quota | undefined> {
    return this.settings.mail === 'ses' ? (await this.rates.find('channel/ses'))?.quota : undefined;
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
