import { parseArgs } from 'node:util';
import { fastify } from 'fastify';
import { at, parseObject } from '../../test/support/json.ts';

/*
 * Fastify alone, as its documentation has it: the request is checked by a JSON schema, the answer written by another. It stores nothing.
 *
 *   node bench/schedule/raw-server.ts --answer '{…}'
 *
 * answers each POST …/schedule with that, prints {"port":…} when it is ready, and ends at SIGTERM.
 */

const { values } = parseArgs({ options: { answer: { type: 'string', default: '{}' } } });
const answer = parseObject(values.answer);

const server = fastify();
server.post(
  '/v1/groups/:group/schedule',
  {
    schema: {
      params: {
        type: 'object',
        properties: { group: { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' } },
      },
      body: {
        type: 'object',
        required: ['subject', 'body', 'schedule_on'],
        additionalProperties: false,
        properties: {
          subject: { type: 'string', minLength: 1, maxLength: 998 },
          body: { type: 'string', minLength: 1 },
          schedule_on: { type: 'integer' },
        },
      },
      response: { 201: schemaOf(answer) },
    },
  },
  (_request, reply) => {
    void reply.code(201).send(answer);
  },
);
await server.listen({ port: 0, host: '127.0.0.1' });
process.stdout.write(`${JSON.stringify({ port: at(server.addresses(), 0, 'port') })}\n`);

/** The JSON schema of whatever looks like this. */
function schemaOf(value: unknown): object {
  if (value === null) {
    return { type: 'null' };
  }
  if (Array.isArray(value)) {
    return { type: 'array', items: value.length === 0 ? {} : schemaOf(value[0]) };
  }
  if (typeof value === 'object') {
    return {
      type: 'object',
      properties: Object.fromEntries(Object.entries(value).map(([name, member]) => [name, schemaOf(member)])),
    };
  }
  return { type: typeof value === 'number' ? 'integer' : typeof value };
}
