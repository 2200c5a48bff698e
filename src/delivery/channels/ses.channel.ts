import {
  GetAccountCommand,
  GetEmailIdentityCommand,
  type MessageHeader,
  type MessageTag,
  SendBulkEmailCommand,
  type SendBulkEmailCommandInput,
  SendEmailCommand,
  SESv2Client,
} from '@aws-sdk/client-sesv2';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { unlogged } from '../../platform/aws/unlogged.ts';
import { SECOND_MS } from '../../platform/clock/clock.ts';
import { SettingsError } from '../../platform/config/settings.ts';
import { mailboxText } from '../mime.ts';
import {
  Channel,
  type Mail,
  type MailHeader,
  type SenderStanding,
  type SendQuota,
  type SendResult,
} from './channel.ts';
import { readEntry, readError, type SesReading } from './ses-results.ts';
import { type BulkPlan, MAX_DESTINATIONS, planSending } from './ses-template.ts';

export interface SesOptions {
  /** Applied to every mail; absent: what the identity has by default. */
  readonly configurationSet: string | undefined;
  readonly timeouts?: Partial<SesTimeouts>;
}

export interface SesTimeouts {
  readonly connectMs: number;
  /** One call, from its beginning to the last byte of the answer. */
  readonly callMs: number;
  /** How long a connection is kept that nobody uses. */
  readonly idleMs: number;
}

const TIMEOUTS: SesTimeouts = {
  // Outlasts one lost SYN, which is sent again after a second, and a slow resolver.
  connectMs: 5 * SECOND_MS,
  // SES mostly answers within a second. A call that is broken off leaves its mails in doubt, so it has long; but it ends within
  // SHUTDOWN_GRACE (25 s), so that a process which is to stop can still record what became of it.
  callMs: 20 * SECOND_MS,
  // A connection that the other end has closed meanwhile looks like one that broke, and puts a mail in doubt. AWS keeps them longer.
  idleMs: 4 * SECOND_MS,
};

// Of MIME messages, which go one to a call: at 50 to 100 ms a call some hundred a second for each batch, more than most accounts may.
const SINGLES_AT_ONCE = 10;
// The batches that a worker has in hand (4) with their calls, and some room: a call that waits for a socket uses up its timeout.
const SOCKETS = 50;

// SES Developer Guide, Service quotas: 40 MB after encoding, which these bytes have behind them.
const MAX_MIME_BYTES = 40 * 1024 * 1024;

/** One call of `send`, while it lasts. */
interface Sending {
  readonly results: Map<Mail, SendResult>;
  readonly signal: AbortSignal;
}

const NOT_BEGUN: SendResult = {
  kind: 'deferred',
  reason: 'The right to send it ended before its turn came.',
};

/**
 * Mails through Amazon SES (API v2). What is the same for everybody but for values in fixed places goes to fifty at once
 * (SendBulkEmail, ses-template.ts); anything else, and whatever SES might read otherwise than it is meant, as a MIME message of its
 * own (SendEmail). Each mail bears the tags `message_key` and `group`, by which SES's events can be told apart. Never hands over a
 * mail twice by itself: what a bulk request may have taken is not sent again. SES gives every mail a Message-ID and a date of its own
 * (SES Developer Guide, Header fields). ses-results.ts has the table of what SES answers and what that means.
 */
export class SesChannel extends Channel {
  override readonly name = 'ses';
  override readonly window = MAX_DESTINATIONS;
  readonly #client: SESv2Client;
  readonly #callMs: number;
  readonly #configurationSet: string | undefined;

  private constructor(client: SESv2Client, callMs: number, configurationSet: string | undefined) {
    super();
    this.#client = client;
    this.#callMs = callMs;
    this.#configurationSet = configurationSet;
  }

  /**
   * Credentials, region and endpoint (AWS_ENDPOINT_URL_SESV2, AWS_ENDPOINT_URL) come from the SDK's default chain.
   * @throws {SettingsError} where it knows no region: that would only be found out with the first mail.
   */
  static async open({ configurationSet, timeouts }: SesOptions): Promise<SesChannel> {
    const limits = { ...TIMEOUTS, ...timeouts };
    const client = openClient(limits);
    try {
      await client.config.region();
    } catch (error) {
      throw new SettingsError(
        [
          'AWS_REGION: is not set, and MAIL ses needs it; allowed: the AWS region of your SES identities, such as eu-west-1.',
        ],
        { cause: error },
      );
    }
    return new SesChannel(client, limits.callMs, configurationSet);
  }

  override async send(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]> {
    const sending: Sending = { results: new Map(), signal };
    const { bulk, single } = planSending(mails);
    const again = await Promise.all(bulk.map((plan) => this.#sendBulk(plan, sending)));
    await this.#sendSingles([...single, ...again.flat()], sending);
    return aboutMessage(mails.map((mail) => sending.results.get(mail) ?? NOT_BEGUN));
  }

  /** The rate and the quota of 24 hours of the account in this region. */
  override async readQuota(): Promise<SendQuota> {
    const { SendQuota: quota } = await this.#client.send(
      new GetAccountCommand({}),
      this.#limits(new AbortController().signal),
    );
    const { MaxSendRate: rate, Max24HourSend: most, SentLast24Hours: sent = 0 } = quota ?? {};
    if (rate === undefined || most === undefined) {
      throw new Error('SES does not say what it allows.');
    }
    // -1: without limit (SES API v2 reference, SendQuota).
    return { rate, left: most < 0 ? undefined : Math.max(0, Math.floor(most - sent)) };
  }

  override async readSender(address: string): Promise<SenderStanding> {
    const domain = address.slice(address.lastIndexOf('@') + 1);
    const [account, ...identities] = await Promise.all([
      this.#client.send(new GetAccountCommand({}), this.#limits(new AbortController().signal)),
      // A domain that is verified is so with everything below it (SES Developer Guide, Verified identities).
      ...[address, ...withParents(domain)].map((identity) => this.#readIdentity(identity)),
    ]);
    const known = identities.map(({ identity }) => identity);
    const isUnknown = known.includes('unknown');
    const isSigned = identities.some((identity) => identity.isSigned);
    return {
      identity: known.includes('verified') ? 'verified' : isUnknown ? 'unknown' : 'not-verified',
      isSigned: !isSigned && isUnknown ? undefined : isSigned,
      isSandbox: account.ProductionAccessEnabled !== true,
      isEnabled: account.SendingEnabled === true,
    };
  }

  override close(): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  /** `unknown` also where the process may not ask: it may be allowed some identities only. */
  async #readIdentity(
    name: string,
  ): Promise<{ readonly identity: SenderStanding['identity']; readonly isSigned: boolean }> {
    try {
      const { VerifiedForSendingStatus: isVerified, DkimAttributes: dkim } = await this.#client.send(
        new GetEmailIdentityCommand({ EmailIdentity: name }),
        this.#limits(new AbortController().signal),
      );
      const isSigned = dkim?.SigningEnabled === true && dkim.Status === 'SUCCESS';
      return { identity: isVerified === true ? 'verified' : 'not-verified', isSigned };
    } catch (error) {
      const isAbsent = error instanceof Error && error.name === 'NotFoundException';
      return { identity: isAbsent ? 'not-verified' : 'unknown', isSigned: false };
    }
  }

  /** Answers with those that are to go by themselves, because SES found fault with the request and so has taken nothing of it. */
  async #sendBulk(plan: BulkPlan, sending: Sending): Promise<readonly Mail[]> {
    if (sending.signal.aborted) {
      return [];
    }
    const readings = await this.#askBulk(plan, sending.signal);
    return plan.entries.flatMap(({ mail }, index) => {
      const reading = readings[index];
      if (reading?.kind === 'invalid-request') {
        return [mail];
      }
      sending.results.set(mail, reading ?? NOT_BEGUN);
      return [];
    });
  }

  async #askBulk(plan: BulkPlan, signal: AbortSignal): Promise<readonly SesReading[]> {
    const { entries } = plan;
    try {
      const command = new SendBulkEmailCommand(this.#bulkRequest(plan));
      const { BulkEmailEntryResults: answers } = await this.#client.send(command, this.#limits(signal));
      // They come in the order of the request (SES API reference, SendBulkTemplatedEmail, of which this is the successor: Status).
      return entries.map(({ mail }, index) => readEntry(answers?.[index], mail));
    } catch (error) {
      return entries.map(({ mail }) => readError(error, mail));
    }
  }

  async #sendSingles(mails: readonly Mail[], { results, signal }: Sending): Promise<void> {
    const left = [...mails];
    const sendNext = async (): Promise<void> => {
      for (let mail = left.shift(); mail && !signal.aborted; mail = left.shift()) {
        const result = await this.#sendSingle(mail, signal);
        results.set(mail, result);
        if (result.kind === 'throttled' || result.kind === 'refused') {
          // The others would hear the same, and asking on only makes it worse.
          left.splice(0).forEach((other) => results.set(other, result));
        }
      }
    };
    await Promise.all(Array.from({ length: SINGLES_AT_ONCE }, sendNext));
  }

  async #sendSingle(mail: Mail, signal: AbortSignal): Promise<SendResult> {
    const mime = mail.compose();
    if (mime.length > MAX_MIME_BYTES) {
      return { kind: 'refused', reason: `It has ${mime.length} bytes; SES takes at most ${MAX_MIME_BYTES}.` };
    }
    const reading = await this.#askSingle(mail, mime, signal);
    return reading.kind === 'invalid-request' ? { kind: 'rejected', reason: reading.reason } : reading;
  }

  async #askSingle(mail: Mail, mime: Buffer, signal: AbortSignal): Promise<SesReading> {
    try {
      const command = new SendEmailCommand({
        // Whatever the headers say, only the recipient is written to.
        Destination: { ToAddresses: [mail.to] },
        Content: { Raw: { Data: mime } },
        EmailTags: tagsOf(mail),
        ConfigurationSetName: this.#configurationSet,
      });
      const { MessageId } = await this.#client.send(command, this.#limits(signal));
      return { kind: 'accepted', providerId: MessageId ?? '' };
    } catch (error) {
      return readError(error, mail);
    }
  }

  #limits(signal: AbortSignal): { readonly abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.any([signal, AbortSignal.timeout(this.#callMs)]) };
  }

  #bulkRequest({ template, headers, entries }: BulkPlan): SendBulkEmailCommandInput {
    const mail = entries[0]?.mail; // sender and tags are those of the message
    return {
      FromEmailAddress: mail && mailboxText(mail.from),
      ReplyToAddresses: mail?.replyTo && [mailboxText(mail.replyTo)],
      DefaultEmailTags: mail && tagsOf(mail),
      ConfigurationSetName: this.#configurationSet,
      DefaultContent: {
        Template: {
          TemplateContent: { Subject: template.subject, Html: template.html, Text: template.text },
          TemplateData: '{}',
          // To which those of an entry are added (SES API v2 reference, BulkEmailEntry: ReplacementHeaders).
          Headers: headers.map(headerOf),
        },
      },
      BulkEmailEntries: entries.map((entry) => ({
        Destination: { ToAddresses: [entry.to] },
        ReplacementHeaders: entry.headers.map(headerOf),
        ReplacementEmailContent: { ReplacementTemplate: { ReplacementTemplateData: entry.data } },
      })),
    };
  }
}

/**
 * What SES says in the same words of every one of several mails is not about their addresses: it stops the message, and nobody's delivery
 * fails for good. What is about one address names it, or is said of that one only.
 */
function aboutMessage(results: readonly SendResult[]): readonly SendResult[] {
  const [first, second] = results;
  if (first?.kind !== 'rejected' || !second) {
    return results;
  }
  const { reason } = first;
  const isSame = results.every((result) => result.kind === 'rejected' && result.reason === reason);
  return isSame
    ? results.map(() => ({
        kind: 'refused',
        reason: `SES says this of every mail of the message: ${reason}`,
      }))
    : results;
}

function openClient({ connectMs, idleMs }: SesTimeouts): SESv2Client {
  // A TLS handshake costs more than most calls: connections are kept for a while.
  const agent = { keepAlive: true, maxSockets: SOCKETS, timeout: idleMs };
  const client = new SESv2Client({
    maxAttempts: 1, // a call whose answer was lost may have been taken: whether it is made again is the ledger's decision
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connectMs,
      socketTimeout: 0, // each call as a whole has its time; an error of this one could not be told from that of connecting
      httpAgent: agent,
      httpsAgent: agent,
    }),
  });
  return unlogged(client);
}

/** A message key and a group's name have only characters that SES allows in a tag (SES API v2 reference, MessageTag). */
function tagsOf({ messageKey, group }: Mail): MessageTag[] {
  return [
    { Name: 'message_key', Value: messageKey },
    { Name: 'group', Value: group },
    // What SES puts into the header Feedback-ID (AWS Messaging Blog, Understanding Google Postmaster Tools); other channels write it by themselves.
    { Name: 'ses:feedback-id-a', Value: messageKey },
    { Name: 'ses:feedback-id-b', Value: group },
  ];
}

function headerOf({ name, value }: MailHeader): MessageHeader {
  return { Name: name, Value: value };
}

/** The domain and those above it, down to the last with a dot in it. */
function withParents(domain: string): readonly string[] {
  const parent = domain.slice(domain.indexOf('.') + 1);
  return parent === domain || !parent.includes('.') ? [domain] : [domain, ...withParents(parent)];
}
