import { PutObjectCommand } from '@aws-sdk/client-s3';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { toMessageItem } from '../../src/engines/aws/message-item.ts';
import { encodeTags } from '../../src/schedule/message-tags.ts';
import { aMessage, aSealedContent } from '../../test/support/builders.ts';

/*
 * The two calls of the AWS SDK without which no message is stored, one after the other, and nothing else: with Belfry's clients, the
 * same object and the same item.
 *
 *   node bench/schedule/sdk-loop.ts --endpoint http://… --bucket … --table … --connections 16 --warm-up-ms 5000 --measured-ms 5000
 *
 * prints {"operations":…,"ms":…,"cpuMs":…} and ends.
 */

const { values } = parseArgs({
  options: {
    // Only says how the bucket is addressed; the SDK reads AWS_ENDPOINT_URL by itself.
    endpoint: { type: 'string' },
    bucket: { type: 'string' },
    table: { type: 'string' },
    connections: { type: 'string', default: '16' },
    'warm-up-ms': { type: 'string', default: '5000' },
    'measured-ms': { type: 'string', default: '5000' },
  },
});

const clients = openAwsClients(values.endpoint);
const content = aSealedContent();
let operations = 0;
const stopping = new AbortController();

const loops = Array.from({ length: Number(values.connections) }, storeAgainAndAgain);
await delay(Number(values['warm-up-ms']));
const before = { operations, atMs: performance.now(), cpu: process.cpuUsage() };
await delay(Number(values['measured-ms']));
const cpu = process.cpuUsage(before.cpu);
process.stdout.write(
  `${JSON.stringify({
    operations: operations - before.operations,
    ms: performance.now() - before.atMs,
    cpuMs: (cpu.user + cpu.system) / 1_000,
  })}\n`,
);
stopping.abort();
await Promise.all(loops);
clients.close();

async function storeAgainAndAgain(): Promise<void> {
  while (!stopping.signal.aborted) {
    const message = aMessage({ scheduleOn: Temporal.Instant.from('2030-01-01T00:00:00Z') });
    await clients.s3.send(
      new PutObjectCommand({
        Bucket: values.bucket,
        Key: `${message.group}/${message.key}/${content.sha256}`,
        Body: content.bytes,
        ContentLength: content.bytes.length,
        ContentType: 'application/json',
        ChecksumSHA256: Buffer.from(content.sha256, 'hex').toString('base64'),
        Tagging: encodeTags(message.tags),
      }),
    );
    await clients.dynamo.send(
      new PutCommand({
        TableName: values.table,
        Item: { ...toMessageItem(message, message.addedAt), written_by: message.key },
        ConditionExpression: 'attribute_not_exists(message_key)',
      }),
    );
    operations += 1;
  }
}
