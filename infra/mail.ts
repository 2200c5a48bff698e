import { Duration } from 'aws-cdk-lib';
import {
  ConfigurationSet,
  ConfigurationSetTlsPolicy,
  EmailSendingEvent,
  EventDestination,
  SuppressionReasons,
} from 'aws-cdk-lib/aws-ses';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { SqsSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { FEEDBACK_QUEUE_VISIBILITY_SECONDS } from '../src/engines/aws/queue-definitions.ts';
import { QueueWithDeadLetters } from './queues.ts';

// What a mail became after SES took it, and that it took it, where the ledger does not know; opens and clicks are nobody's business.
const EVENTS = [
  EmailSendingEvent.BOUNCE,
  EmailSendingEvent.COMPLAINT,
  EmailSendingEvent.DELIVERY,
  EmailSendingEvent.DELIVERY_DELAY,
  EmailSendingEvent.REJECT,
  EmailSendingEvent.RENDERING_FAILURE,
  EmailSendingEvent.SEND,
];

/** What SES does with mails of this installation, and the way on which it says what became of them: a topic, and from it a queue. */
export class Mail extends Construct {
  readonly configurationSet: ConfigurationSet;
  readonly configurationSetName: string;
  readonly events: QueueWithDeadLetters;

  constructor(scope: Construct, id: string, installation: string) {
    super(scope, id);
    this.configurationSetName = installation;
    this.configurationSet = new ConfigurationSet(this, 'configuration', {
      configurationSetName: this.configurationSetName,
      tlsPolicy: ConfigurationSetTlsPolicy.OPTIONAL, // a mail server without TLS gets its mail; refusing it would lose deliveries
      reputationMetrics: true,
      sendingEnabled: true,
      // Whoever bounced or complained is not written to again, whatever the group says: AWS judges the account by them.
      suppressionReasons: SuppressionReasons.BOUNCES_AND_COMPLAINTS,
    });
    const topic = new Topic(this, 'topic', { enforceSSL: true });
    this.configurationSet.addEventDestination('events', {
      destination: EventDestination.snsTopic(topic),
      events: EVENTS,
    });
    this.events = new QueueWithDeadLetters(this, 'events', {
      queueName: `${installation}-mail-events`,
      visibility: Duration.seconds(FEEDBACK_QUEUE_VISIBILITY_SECONDS),
    });
    topic.addSubscription(
      new SqsSubscription(this.events.queue, {
        rawMessageDelivery: true,
        deadLetterQueue: this.events.deadLetters,
      }),
    );
  }
}
