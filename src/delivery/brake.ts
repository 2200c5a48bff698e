import { Injectable } from '@nestjs/common';
import { type BrakeSettings, Settings } from '../platform/config/settings.ts';
import { brakeCounts, type Message } from '../schedule/message.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import { MessageStopper } from './message-stopper.ts';

const RESUME = 'Find out why before you resume it.';

/**
 * Stops a message before those who judge the sender do: AWS reviews an account from 5 % of bounces or 0.1 % of complaints on, and stops it
 * at 10 % or 0.5 % (SES Developer Guide, "Sending review process FAQ"); Gmail wants less than 0.1 % of complaints, and never 0.3 % (Google
 * Workspace Admin Help, "Email sender guidelines").
 */
@Injectable()
export class Brake {
  constructor(
    private readonly stopper: MessageStopper,
    private readonly metrics: DeliveryMetrics,
    private readonly settings: Settings,
  ) {}

  /** To be called once a bounce or a complaint is in the ledger. Holds the message where there are too many; a second call does nothing. */
  async check(message: Pick<Message, 'group' | 'key'>): Promise<void> {
    if (await this.stopper.hold(message, (found) => reasonToHold(found, this.settings.brake))) {
      this.metrics.countHeld();
    }
  }
}

/** Why it is to be stopped, as a sentence; absent where it may go on. What had happened before somebody resumed it does not count. */
export function reasonToHold(
  message: Pick<Message, 'counts' | 'feedback' | 'brakeFrom'>,
  { bounceRate, complaintRate, minimum }: BrakeSettings,
): string | undefined {
  const now = brakeCounts(message);
  const from = message.brakeFrom ?? { handedOver: 0, bounced: 0, complained: 0 };
  const handedOver = now.handedOver - from.handedOver;
  const bounced = now.bounced - from.bounced;
  const complained = now.complained - from.complained;
  if (handedOver < minimum) {
    return undefined;
  }
  if (bounced > bounceRate * handedOver) {
    return `${bounced} of ${handedOver} deliveries bounced (${percent(bounced / handedOver)}), more than ${percent(bounceRate)}. ${RESUME}`;
  }
  return complained > complaintRate * handedOver
    ? `${complained} of ${handedOver} deliveries were complained about (${percent(complained / handedOver)}), more than ${percent(complaintRate)}. ${RESUME}`
    : undefined;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
