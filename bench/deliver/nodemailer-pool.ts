import { parseArgs } from 'node:util';
import { createTransport } from 'nodemailer';
import { letterOf, readerOf, writtenFor } from './letter.ts';

/*
 * nodemailer with its pool of connections, alone in a process: it sends so many mails as fast as it can, with no record of anybody.
 * Each mail is written before it is handed over, by putting values into text.
 *
 *   node bench/deliver/nodemailer-pool.ts --url smtp://127.0.0.1:2525 --mails 10000 --bytes 2048
 *
 * prints {"seconds":…,"cpu_us":…}, of what comes behind a warm-up.
 */

const CONNECTIONS = 5;
// As many as keep all connections busy; nodemailer holds the rest of a queue in memory.
const IN_HAND = 50;
const WARM_UP_MAILS = 3_000;

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: '' },
    mails: { type: 'string', default: '0' },
    bytes: { type: 'string', default: '0' },
  },
});
const letter = letterOf(Number(values.bytes), 'tags');
const { hostname, port } = new URL(values.url);
const transport = createTransport({
  host: hostname,
  port: Number(port),
  pool: true,
  maxConnections: CONNECTIONS,
  maxMessages: Infinity,
});

const mails = Number(values.mails);
await sendAll(Math.min(WARM_UP_MAILS, mails));
const cpu = process.cpuUsage();
const begunAt = performance.now();
await sendAll(mails);
const seconds = (performance.now() - begunAt) / 1_000;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(`${JSON.stringify({ seconds, cpu_us: (user + system) / mails })}\n`);
transport.close();

async function sendAll(count: number): Promise<void> {
  let next = 0;
  const sendNext = async (): Promise<void> => {
    while (next < count) {
      const reader = readerOf(next);
      next += 1;
      await transport.sendMail({
        from: 'Belfry <belfry@localhost>',
        to: { name: reader.name, address: reader.email },
        ...writtenFor(reader, letter),
      });
    }
  };
  await Promise.all(Array.from({ length: IN_HAND }, sendNext));
}
