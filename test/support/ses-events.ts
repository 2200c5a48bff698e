import type { JsonObject } from './json.ts';

/** Of whom an event tells. */
export interface SesEventOf {
  readonly messageKey: string;
  readonly group: string;
  readonly recipient: string;
}

export const SES_EVENT_TYPES = [
  'Send',
  'Delivery',
  'Permanent bounce',
  'Transient bounce',
  'Complaint',
  'DeliveryDelay',
  'Reject',
  'Rendering Failure',
] as const;
export type SesEventType = (typeof SES_EVENT_TYPES)[number];

const AT = '2026-11-23T14:10:01.412Z';

/** An event as SES publishes it (SES Developer Guide, "Examples of event data that Amazon SES publishes to Amazon SNS"). */
export function sesEvent(type: SesEventType, { messageKey, group, recipient }: SesEventOf): JsonObject {
  return {
    ...sectionOf(type, recipient),
    mail: {
      timestamp: '2026-11-23T14:10:00.087Z',
      source: 'News <news@example.com>',
      sourceArn: 'arn:aws:ses:eu-west-1:123456789012:identity/example.com',
      sendingAccountId: '123456789012',
      messageId: '0100019ab0a27c1e-61b59c11-9236-11e6-8f96-7be8aexample-000000',
      destination: [recipient],
      headersTruncated: false,
      headers: [{ name: 'From', value: 'News <news@example.com>' }],
      commonHeaders: { from: ['News <news@example.com>'], to: [recipient], subject: 'News' },
      tags: {
        'ses:configuration-set': ['belfry'],
        'ses:source-ip': ['192.0.2.0'],
        'ses:from-domain': ['example.com'],
        message_key: [messageKey],
        group: [group],
      },
    },
  };
}

/** The same as SNS hands it on without raw message delivery. */
export function snsEnvelope(event: JsonObject): JsonObject {
  return {
    Type: 'Notification',
    MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
    TopicArn: 'arn:aws:sns:eu-west-1:123456789012:belfry-mail',
    Subject: 'Amazon SES Email Event Notification',
    Message: JSON.stringify(event),
    Timestamp: '2026-11-23T14:10:02.000Z',
    SignatureVersion: '1',
    Signature: 'EXAMPLE',
    SigningCertURL: 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-example.pem',
    UnsubscribeURL: 'https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe',
  };
}

function sectionOf(type: SesEventType, emailAddress: string): JsonObject {
  switch (type) {
    case 'Send':
      return { eventType: 'Send', send: {} };
    case 'Delivery':
      return {
        eventType: 'Delivery',
        delivery: {
          timestamp: AT,
          processingTimeMillis: 1325,
          recipients: [emailAddress],
          smtpResponse: '250 2.6.0 Message received',
          reportingMTA: 'mta.example.com',
        },
      };
    case 'Permanent bounce':
    case 'Transient bounce':
      return {
        eventType: 'Bounce',
        bounce: {
          bounceType: type.split(' ', 1)[0],
          bounceSubType: 'General',
          bouncedRecipients: [
            {
              emailAddress,
              action: 'failed',
              status: '5.1.1',
              diagnosticCode: 'smtp; 550 5.1.1 user unknown',
            },
          ],
          timestamp: AT,
          feedbackId: '01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000',
          reportingMTA: 'dsn; mta.example.com',
        },
      };
    case 'Complaint':
      return {
        eventType: 'Complaint',
        complaint: {
          complainedRecipients: [{ emailAddress }],
          timestamp: AT,
          feedbackId: '01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000001',
          complaintFeedbackType: 'abuse',
          arrivalDate: AT,
        },
      };
    case 'DeliveryDelay':
      return {
        eventType: 'DeliveryDelay',
        deliveryDelay: {
          timestamp: AT,
          delayType: 'MailboxFull',
          expirationTime: '2026-11-24T04:10:00.000Z',
          delayedRecipients: [{ emailAddress, status: '4.2.2', diagnosticCode: 'smtp; 452 4.2.2 full' }],
        },
      };
    case 'Reject':
      return { eventType: 'Reject', reject: { reason: 'Bad content' } };
    case 'Rendering Failure':
      return {
        eventType: 'Rendering Failure',
        failure: { errorMessage: "Attribute 'name' is not present", templateName: 'inline' },
      };
  }
}
