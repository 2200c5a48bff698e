import { createHmac, timingSafeEqual } from 'node:crypto';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Clock, SECOND_MS } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import { rawBodyOf } from '../platform/http/raw-body.ts';

export const SIGNATURE_HEADER = 'belfry-signature';

// As Stripe allows (docs.stripe.com/webhooks/signature). What comes twice within it changes nothing.
const WINDOW_SECONDS = 300;

export class FeedbackOffError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'feedback-off';

  constructor() {
    super('Feedback cannot be posted here: FEEDBACK_SECRET is not set.');
  }
}

export class FeedbackSignatureError extends DomainError {
  readonly kind = 'forbidden';
  readonly code = 'feedback-signature';

  constructor(detail = 'The signature is not that of this body.') {
    super(
      `${detail} Belfry-Signature is t=<seconds since 1970>,v1=<hex>: the HMAC-SHA256 of t, a dot and the body, with FEEDBACK_SECRET.`,
    );
  }
}

/** Lets in who signed the very bytes of the body with FEEDBACK_SECRET, within the last five minutes. */
@Injectable()
export class FeedbackSignatureGuard implements CanActivate {
  constructor(
    private readonly settings: Settings,
    private readonly clock: Clock,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const { feedbackSecrets } = this.settings;
    if (feedbackSecrets.length === 0) {
      throw new FeedbackOffError();
    }
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const header = request.headers[SIGNATURE_HEADER];
    const [, time = '', given = ''] =
      typeof header === 'string' ? (/^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(header) ?? []) : [];
    if (given === '') {
      throw new FeedbackSignatureError('The signature is missing, or has another form.');
    }
    const signed = Buffer.concat([Buffer.from(`${time}.`), rawBodyOf(request)]);
    const isSigned = feedbackSecrets.some((secret) =>
      timingSafeEqual(Buffer.from(given, 'hex'), createHmac('sha256', secret).update(signed).digest()),
    );
    if (!isSigned) {
      throw new FeedbackSignatureError();
    }
    const nowSeconds = this.clock.now().epochMilliseconds / SECOND_MS;
    if (Math.abs(nowSeconds - Number(time)) > WINDOW_SECONDS) {
      throw new FeedbackSignatureError(`The signature is more than ${WINDOW_SECONDS} seconds old, or ahead.`);
    }
    return true;
  }
}
