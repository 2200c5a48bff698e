import { createHmac } from 'node:crypto';

/** The header of a body that is posted to /v1/feedback at this time. */
export function signatureOf(
  body: string,
  secret: string,
  at: Temporal.Instant,
): { readonly 'belfry-signature': string } {
  const time = Math.floor(at.epochMilliseconds / 1_000);
  const mac = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex');
  return { 'belfry-signature': `t=${time},v1=${mac}` };
}
