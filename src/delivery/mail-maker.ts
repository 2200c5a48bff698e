import { setImmediate } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Links } from '../consent/links.ts';
import { GroupStore } from '../groups/group-store.ts';
import { languageOf } from '../groups/language.ts';
import { USUAL_MAILING } from '../groups/mailing-settings.ts';
import type { Subscriber } from '../groups/subscriber.ts';
import { Settings } from '../platform/config/settings.ts';
import { type CompiledContent, compileContent } from '../schedule/compiled-content.ts';
import { openContent } from '../schedule/content.ts';
import { MessageStore } from '../schedule/message-store.ts';
import type { Message } from '../schedule/message.ts';
import type { Mail } from './channels/channel.ts';
import { Footers } from './footer.ts';
import { feedbackHeader, leaveHeader, listDomain, listHeaders } from './list-headers.ts';
import { MailPress } from './mime.ts';
import { ReturnPaths } from './return-paths.ts';

// Messages whose content is kept ready: as many as are commonly sent at once. The largest content is some 10 MB.
const KEPT = 4;

// For which mails are made before others have their turn.
const TURN_MS = 5;

/** Makes the mails of one message. */
export interface MailMaker {
  /** @throws {RenderError} where the template fails for this subscriber. */
  make(subscriber: Subscriber, date: Temporal.Instant): Promise<Mail>;
}

/** Reads, verifies and compiles a message's content once, however many batches it has. */
@Injectable()
export class MailMakers {
  /** On the process's own clock: of how long others wait, whatever time it is. */
  #turnEndsAtMs = 0;
  readonly #compiled = new Map<string, Promise<CompiledContent>>();

  constructor(
    private readonly messages: MessageStore,
    private readonly groups: GroupStore,
    private readonly links: Links,
    private readonly returnPaths: ReturnPaths,
    private readonly settings: Settings,
  ) {}

  /** @throws {ContentDamagedError} where the content is not what was scheduled. */
  async for(message: Message): Promise<MailMaker> {
    const content = await this.#compile(message);
    const group = await this.groups.find(message.group);
    const from = message.from ?? group?.from ?? this.settings.mailFrom;
    const replyTo = message.replyTo ?? group?.replyTo;
    const press = new MailPress({ from, replyTo, messageKey: message.key, group: message.group });
    const mailing = group ?? USUAL_MAILING;
    const isBulk = mailing.kind === 'bulk';
    const footers = new Footers(mailing.displayName ?? message.group, mailing.postalAddress);
    const list = {
      name: message.group,
      group,
      messageKey: message.key,
      domain: listDomain(this.settings.publicUrl, group?.from ?? this.settings.mailFrom),
    };
    // SES makes one by itself, and takes what stands in it from the tags of the mail.
    const headers = [...listHeaders(list), ...(this.settings.mail === 'ses' ? [] : [feedbackHeader(list)])];
    return {
      make: async (subscriber, date) => {
        await this.#giveWay();
        const urls = this.links.leaveUrls({
          group: message.group,
          subscriber: subscriber.key,
          messageKey: message.key,
        });
        const rendered = content.render(subscriber, {
          unsubscribe_url: urls.unsubscribe,
          preferences_url: urls.preferences,
          postal_address: mailing.postalAddress ?? '',
        });
        return press.mail({
          ...(isBulk ? footers.add(rendered, urls, languageOf(subscriber, mailing.language)) : rendered),
          returnPath: this.returnPaths.of(message.key, subscriber.key),
          to: subscriber.email,
          toName: subscriber.name,
          headers: isBulk ? [leaveHeader(list, urls.unsubscribe), ...headers] : [],
          date,
        });
      },
    };
  }

  /** Rendering is synchronous: between two mails, others have their turn, unless they have just had it. */
  async #giveWay(): Promise<void> {
    if (performance.now() >= this.#turnEndsAtMs) {
      await setImmediate();
      this.#turnEndsAtMs = performance.now() + TURN_MS;
    }
  }

  #compile(message: Message): Promise<CompiledContent> {
    const id = `${message.key} ${message.content.sha256}`;
    const kept = this.#compiled.get(id);
    const compiled = kept ?? this.#read(message);
    this.#compiled.delete(id);
    this.#compiled.set(id, compiled); // the map keeps the order: the first is the one that was not needed for longest
    if (!kept) {
      compiled.catch(() => this.#compiled.delete(id)); // whoever awaits it hears of the error; the next one reads anew
      for (const oldest of [...this.#compiled.keys()].slice(0, -KEPT)) {
        this.#compiled.delete(oldest);
      }
    }
    return compiled;
  }

  async #read(message: Message): Promise<CompiledContent> {
    return compileContent(openContent(await this.messages.readContent(message)));
  }
}
