import type { ServerResponse } from 'node:http';
import { objectsAt, parseObject, textAt } from '../../test/support/json.ts';
import { standIn } from '../frame/stand-in.ts';

/*
 * Answers the calls of Amazon SES by which a message goes out in bulk, properly but at once, and remembers who was written to. The stand-in
 * of the tests makes and reads every mail, which takes ten times as long as making the request. Anything else is refused.
 *
 *   node bench/deliver/ses-sink.ts
 *
 * prints {"port":…} when it is ready, lists the recipients at GET /recipients, an address a line, and ends at SIGTERM.
 */

const recipients: string[] = [];

standIn((request, body, response) => {
  switch (`${request.method} ${request.url}`) {
    case 'POST /v2/email/outbound-bulk-emails':
      reply(response, { BulkEmailEntryResults: take(body) });
      break;
    case 'GET /v2/email/account':
      reply(response, {
        SendQuota: { MaxSendRate: 1_000_000, Max24HourSend: -1, SentLast24Hours: recipients.length },
        SendingEnabled: true,
        ProductionAccessEnabled: true,
        EnforcementStatus: 'HEALTHY',
      });
      break;
    case 'GET /recipients':
      response.end(recipients.join('\n'));
      break;
    default:
      response.writeHead(501).end();
  }
});

function take(body: Buffer): unknown {
  return objectsAt(parseObject(body.toString()), 'BulkEmailEntries').map((entry) => {
    const to = textAt(entry, 'Destination', 'ToAddresses', 0);
    recipients.push(/<(.+)>$/.exec(to)?.[1] ?? to);
    return { Status: 'SUCCESS', MessageId: `0100-${recipients.length}` };
  });
}

function reply(response: ServerResponse, answered: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answered));
}
