import { readEnvironment } from '../../platform/config/environment.ts';
import {
  type InfrastructureSettings,
  parseInfrastructureSettings,
  SettingsError,
} from '../../platform/config/settings.ts';
import { StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import { openAwsClients } from './aws-clients.ts';
import { createInfrastructure, type Infrastructure, ShapeMismatchError } from './create-infrastructure.ts';
import { translate } from './transact.ts';

/* `npm run aws:create`: for LocalStack and test accounts. Standard output has the settings to use and nothing else. */

try {
  const settings = parseInfrastructureSettings(readEnvironment());
  const infrastructure = await create(settings);
  process.stdout.write(settingsText(settings, infrastructure));
} catch (error) {
  process.stderr.write(`${faultText(error)}\n`);
  process.exitCode = 1;
}

async function create(settings: InfrastructureSettings): Promise<Infrastructure> {
  const clients = openAwsClients(settings.endpointUrl);
  try {
    const infrastructure = await createInfrastructure(clients, settings);
    const { made } = infrastructure;
    process.stderr.write(made.length === 0 ? 'Everything was there.\n' : `Made ${made.join(', ')}.\n`);
    return infrastructure;
  } finally {
    clients.close();
  }
}

function settingsText(
  settings: InfrastructureSettings,
  { workQueueUrl, feedbackQueueUrl }: Infrastructure,
): string {
  return [
    'ENGINE=aws',
    `TABLE_PREFIX=${settings.tablePrefix}`,
    `CONTENT_BUCKET=${settings.contentBucket}`,
    `WORK_QUEUE_URL=${workQueueUrl}`,
    ...(feedbackQueueUrl === undefined ? [] : [`FEEDBACK_QUEUE_URL=${feedbackQueueUrl}`]),
    ...(settings.endpointUrl === undefined ? [] : [`AWS_ENDPOINT_URL=${settings.endpointUrl}`]),
    '',
  ].join('\n');
}

/** What whoever runs it can mend is told in words; anything else with its stack. */
function faultText(error: unknown): string {
  if (error instanceof SettingsError || error instanceof ShapeMismatchError) {
    return error.message;
  }
  if (error instanceof Error && translate(error) instanceof StoreUnavailableError) {
    return `AWS cannot be reached or used just now (${error.name}): ${error.message}. What was made stays; run this again.`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
