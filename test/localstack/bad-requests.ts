import { objectsAt, textAt } from '../support/json.ts';
import type { Operation } from '../support/openapi-document.ts';
import { ask, type Request } from './story.ts';

/** What must be there for the paths of bad requests to be good but for one part. */
export const WORLD_OF_BAD_REQUESTS: readonly Request[] = [
  ask('PUT', '/v1/groups/refused', { body: {} }),
  ask('POST', '/v1/groups/refused/subscribers', { body: { email: 'ada@example.com' } }),
  ask('POST', '/v1/groups/refused/schedule', {
    body: { subject: 'Later', body: '<p>Later</p>', schedule_on: '2100-01-01T00:00:00Z' },
  }),
];

const GOOD: Readonly<Record<string, string>> = {
  group: 'refused',
  key: 'latest',
  series: 'latest',
  email: 'ada@example.com',
};

// Ill-formed, and well-formed but the name of nothing that is there.
const BAD_PATHS: Readonly<Record<string, readonly string[]>> = {
  group: ['-bad-', 'x'.repeat(64), '%00', 'nobody-there'],
  key: ['42', '00000000-0000-7000-8000-000000000000'],
  series: ['42', '00000000-0000-7000-8000-000000000000'],
  email: ['no-address', `${'x'.repeat(300)}@example.com`, 'nobody@example.com'],
};
const BAD_QUERIES = ['', '0', '1.5', '-1', '1001', 'x', '%F0%9F%8E%89', '2100-13-01T00:00Z'];
const BAD_HEADERS = ['1', 'W/"1"', '"x"', '"99"', 'a b'];
const BAD_BODIES = ['{', 'null', '[]', '"text"', '{}', '{"unknown":1}', '{"email":1,"subject":1,"from":1}'];

/** Requests of an operation in each of which one thing is wrong, or might be. */
export function badRequests({ method, path, docs }: Operation): readonly Request[] {
  const takesBody = 'requestBody' in docs;
  const body = takesBody ? { body: '{}' } : {};
  const target = pathWith(path, {});
  const ofParameters = objectsAt(docs, 'parameters').flatMap((parameter): readonly Request[] => {
    const name = textAt(parameter, 'name');
    switch (textAt(parameter, 'in')) {
      case 'path':
        return (BAD_PATHS[name] ?? []).map((bad) => ask(method, pathWith(path, { [name]: bad }), body));
      case 'query':
        return BAD_QUERIES.map((bad) => ask(method, `${target}?${name}=${bad}`, body));
      default:
        return BAD_HEADERS.map((bad) => ask(method, target, { ...body, headers: { [name]: bad } }));
    }
  });
  const ofBody = takesBody
    ? [
        ...BAD_BODIES.map((bad) => ask(method, target, { body: bad })),
        ask(method, target, { body: '{}', headers: { 'content-type': 'text/plain' } }),
      ]
    : [];
  return [...ofParameters, ...ofBody, ask(method, `${target}?unknown=1`, body)];
}

function pathWith(path: string, values: Readonly<Record<string, string>>): string {
  return path.replaceAll(/\{(\w+)\}/g, (_match, name: string) => values[name] ?? GOOD[name] ?? name);
}
