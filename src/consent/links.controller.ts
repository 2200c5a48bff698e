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
import { Links, type LinkTarget } from './links.ts';
import { LINK_TOKEN, LinkPage, LinkToken } from './link-page.ts';
import { isOneClick, OUR_PAGE } from './one-click.ts';
import { askToLeavePage, leftPage, noSuchLinkPage, type Visit } from './pages.ts';
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
    private readonly settings: Settings,
  ) {}

  /** Changes nothing: what looks for evil in mails opens every link. */
  @Get(`u/${LINK_TOKEN}`)
  @LinkPage()
  async askToLeave(
    @LinkToken() token: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const target = this.links.open(token, 'leave');
    if (!target) {
      return noSuchLink(reply);
    }
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
    const target = this.links.open(token, 'leave');
    if (!target) {
      return noSuchLink(reply);
    }
    const { visit } = await this.#visit(target, token);
    if (!isOneClick(body)) {
      reply.status(400);
      return askToLeavePage(visit, 'unclear');
    }
    await this.unsubscriber.leave(target, this.#originOf(target, body, request));
    return leftPage(visit);
  }

  #originOf({ messageKey }: LinkTarget, form: FormData, request: FastifyRequest): ConsentOrigin {
    const isOurs = form.get(OUR_PAGE.name) === OUR_PAGE.value;
    // What a provider posts comes from its servers, whose address says nothing of the person.
    return isOurs
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

function noSuchLink(reply: FastifyReply): string {
  reply.status(404);
  return noSuchLinkPage();
}
