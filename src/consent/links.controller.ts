import { Body, Controller, Get, HttpCode, Post, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ConsentOrigin, originOf } from '../groups/consent.ts';
import { GroupStore } from '../groups/group-store.ts';
import { languageOf } from '../groups/language.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import type { Subscriber } from '../groups/subscriber.ts';
import { HasLink } from '../platform/auth/roles.ts';
import { Settings } from '../platform/config/settings.ts';
import { clientIp, Request } from '../platform/http/client-ip.ts';
import { TakesForms } from '../platform/http/form-body.ts';
import { Confirmer } from './confirmer.ts';
import { LINK_TOKEN, LinkPage, LinkToken, NoSuchLinkError } from './link-page.ts';
import { type LinkPurpose, Links, type LinkTarget } from './links.ts';
import { isOneClick, isOurForm } from './one-click.ts';
import {
  askToConfirmPage,
  askToLeavePage,
  confirmedPage,
  leftPage,
  preferencesPage,
  suppressedPage,
  type Visit,
} from './pages.ts';
import { Preferences } from './preferences.ts';
import { Unsubscriber } from './unsubscriber.ts';

/** The pages that links in mails lead to. Whoever has the link may; there is nothing else to show. */
@ApiExcludeController()
@HasLink()
@Controller()
export class LinksController {
  constructor(
    private readonly links: Links,
    private readonly groups: GroupStore,
    private readonly subscribers: SubscriberStore,
    private readonly unsubscriber: Unsubscriber,
    private readonly preferences: Preferences,
    private readonly confirmer: Confirmer,
    private readonly settings: Settings,
  ) {}

  /** Changes nothing: what looks for evil in mails opens every link. */
  @Get(`u/${LINK_TOKEN}`)
  @LinkPage()
  async askToLeave(@LinkToken() token: string): Promise<string> {
    const target = this.#open(token, 'leave');
    const { visit, subscriber } = await this.#visit(target, token);
    return subscriber?.status === 'active' || subscriber?.status === 'pending'
      ? askToLeavePage(visit)
      : leftPage(visit);
  }

  /** Unsubscribes at once, without cookie, login or redirect (RFC 8058, 3.1); our own page posts the same. */
  @Post(`u/${LINK_TOKEN}`)
  @HttpCode(200)
  @LinkPage()
  @TakesForms()
  async leave(
    @LinkToken() token: string,
    @Body() body: unknown,
    @Request() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const target = this.#open(token, 'leave');
    const { visit } = await this.#visit(target, token);
    if (!isOneClick(body)) {
      reply.status(400);
      return askToLeavePage(visit, 'unclear');
    }
    await this.unsubscriber.leave(target, this.#originOf(target, body, request));
    return leftPage(visit);
  }

  /** Changes nothing. */
  @Get(`c/${LINK_TOKEN}`)
  @LinkPage()
  async askToConfirm(@LinkToken() token: string): Promise<string> {
    return this.#confirmPage(this.#open(token, 'confirm'), token);
  }

  @Post(`c/${LINK_TOKEN}`)
  @HttpCode(200)
  @LinkPage()
  @TakesForms()
  async confirm(
    @LinkToken() token: string,
    @Body() body: unknown,
    @Request() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const target = this.#open(token, 'confirm');
    if (isOurForm(body)) {
      await this.confirmer.confirm(target, this.#originOf(target, body, request));
    } else {
      reply.status(400);
    }
    return this.#confirmPage(target, token);
  }

  /** Whoever left meanwhile, or was too late, has a link that is none any more. */
  async #confirmPage(target: LinkTarget, token: string): Promise<string> {
    const { visit, subscriber } = await this.#visit(target, token);
    switch (subscriber?.status) {
      case 'pending':
        return askToConfirmPage(visit);
      case 'active':
        return confirmedPage(visit);
      default:
        throw new NoSuchLinkError();
    }
  }

  /** Changes nothing. */
  @Get(`p/${LINK_TOKEN}`)
  @LinkPage()
  async showPreferences(@LinkToken() token: string): Promise<string> {
    return this.#preferencesPage(this.#open(token, 'leave'), token);
  }

  @Post(`p/${LINK_TOKEN}`)
  @HttpCode(200)
  @LinkPage()
  @TakesForms()
  async changePreferences(
    @LinkToken() token: string,
    @Body() body: unknown,
    @Request() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const target = this.#open(token, 'leave');
    if (!isOurForm(body)) {
      reply.status(400);
      return this.#preferencesPage(target, token, 'unclear');
    }
    const origin = this.#originOf(target, body, request);
    if (body.has('all')) {
      await this.preferences.leaveAll(target, origin);
      return suppressedPage((await this.#visit(target, token)).visit, 'allDone');
    }
    const wish = { shown: textsOf(body, 'shown'), kept: textsOf(body, 'kept') };
    await this.preferences.change(target, wish, origin);
    return this.#preferencesPage(target, token, 'saved');
  }

  async #preferencesPage(target: LinkTarget, token: string, note?: 'saved' | 'unclear'): Promise<string> {
    const { visit } = await this.#visit(target, token);
    if (await this.preferences.isSuppressed(target)) {
      return suppressedPage(visit, 'suppressed');
    }
    const choices = (await this.preferences.list(target)).map(({ group, subscriber }) => ({
      group: group.name,
      list: group.displayName ?? group.name,
      status: subscriber.status,
    }));
    return preferencesPage(visit, choices, note);
  }

  #open(token: string, purpose: LinkPurpose): LinkTarget {
    const target = this.links.open(token, purpose);
    if (!target) {
      throw new NoSuchLinkError();
    }
    return target;
  }

  #originOf({ messageKey }: LinkTarget, form: FormData, request: FastifyRequest): ConsentOrigin {
    // What a provider posts comes from its servers, whose address says nothing of the person.
    return isOurForm(form)
      ? originOf('page', { messageKey, ip: clientIp(request, this.settings.trustedProxies) })
      : originOf('one-click', { messageKey });
  }

  async #visit(
    { group: name, subscriber: key }: LinkTarget,
    token: string,
  ): Promise<{ readonly visit: Visit; readonly subscriber: Subscriber | undefined }> {
    const [group, subscriber] = await Promise.all([this.groups.find(name), this.subscribers.find(name, key)]);
    return {
      subscriber,
      visit: {
        language: languageOf(subscriber, group?.language),
        list: group?.displayName ?? name,
        email: subscriber?.email ?? key,
        preferences: `../p/${token}`, // relative, so that it holds behind a proxy that adds a prefix
      },
    };
  }
}

/** What a form says under a name; files are no texts. */
function textsOf(form: FormData, name: string): ReadonlySet<string> {
  return new Set(form.getAll(name).filter((value) => typeof value === 'string'));
}
