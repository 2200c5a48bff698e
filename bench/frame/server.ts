import { bodyOf } from '../../test/support/belfry-api.ts';
import { textAt } from '../../test/support/json.ts';
import { type ServerPlan, ServerProcess } from '../../test/support/server-process.ts';

/** Options of the server's Node, parted by spaces: --node='--cpu-prof --cpu-prof-dir=/tmp/profile', say. */
export const NODE_OPTION = { type: 'string', default: '' } as const;

export function nodeArgsOf(option: string): readonly string[] {
  return option.split(' ').filter((arg) => arg !== '');
}

/** Works with a server that is then told to stop and waited for: it leaves its file whole, and the profile that it was told to make. */
export async function withServer<Result>(
  plan: ServerPlan,
  work: (server: ServerProcess) => Promise<Result>,
): Promise<Result> {
  await using server = await ServerProcess.start(plan);
  const result = await work(server);
  await server.kill('SIGTERM');
  return result;
}

/** Schedules a small message for then, and answers with its key. */
export async function scheduleAt(server: ServerProcess, group: string, atMs: number): Promise<string> {
  const body = { subject: 'On time', body: '<p>On time</p>', schedule_on: atMs };
  return textAt(bodyOf(await server.request('POST', `/v1/groups/${group}/schedule`, { body }), 201), 'key');
}

/** The same for so much later than now. */
export async function scheduleIn(server: ServerProcess, group: string, aheadMs: number): Promise<string> {
  return scheduleAt(server, group, Temporal.Now.instant().epochMilliseconds + aheadMs);
}
