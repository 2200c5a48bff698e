import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { at } from '../../test/support/json.ts';

/** Answers HTTP on a free port of this machine, on connections that are kept, and prints {"port":…} when it is ready. */
export function standIn(
  answer: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void,
): void {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    void buffer(request).then((body) => answer(request, body, response));
  });
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify({ port: at(server.address(), 'port') })}\n`);
  });
}
