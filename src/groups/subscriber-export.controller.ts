import { Controller, Get, Query, type StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiPropertyOptional, ApiTags } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import { Needs } from '../platform/auth/roles.ts';
import { formatInstant } from '../platform/clock/clock.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { csvLine } from './csv-line.ts';
import { GroupStore } from './group-store.ts';
import { type GroupName, GroupNotFoundError, parseGroupName } from './group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from './params.ts';
import { CSV_TYPE, NDJSON_TYPE, streamed } from './streamed.ts';
import { SubscriberStore } from './subscriber-store.ts';
import {
  type Subscriber,
  SUBSCRIBER_STATUSES,
  type SubscriberKey,
  type SubscriberStatus,
} from './subscriber.ts';

const EXPORT_FORMATS = ['csv', 'ndjson'] as const;
const PAGE = 1_000;
const COLUMNS = ['email', 'name', 'status', 'time_zone', 'date_joined', 'attributes'];
const EXAMPLE = parseGroupName('serverless');

export class ExportQuery {
  @ApiPropertyOptional({ enum: EXPORT_FORMATS, default: 'csv', description: 'Of the file.' })
  @IsOptional()
  @IsIn(EXPORT_FORMATS, { message: `One of ${EXPORT_FORMATS.join(', ')} is needed.` })
  readonly format: (typeof EXPORT_FORMATS)[number] = 'csv';

  @ApiPropertyOptional({ enum: SUBSCRIBER_STATUSES, description: 'Only those of this status.' })
  @IsOptional()
  @IsIn(SUBSCRIBER_STATUSES, { message: `One of ${SUBSCRIBER_STATUSES.join(', ')} is needed.` })
  readonly status?: SubscriberStatus;
}

@ApiTags('imports')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group/subscribers/export', ':group/subscribers/export'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class SubscriberExportController {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly groups: GroupStore,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Export the subscribers',
    description:
      'All of them, in order of address, as CSV or as one JSON object a line; an import of it changes nothing, and into another group it makes the same. In CSV, a cell that a spreadsheet would take for a formula has an apostrophe before it, which an import takes away.',
  })
  @ApiOkResponse({
    content: {
      [CSV_TYPE]: {
        schema: {
          type: 'string',
          example:
            'email,name,status,time_zone,date_joined,attributes\r\nada@example.com,Ada Lovelace,active,Europe/London,2026-11-23T14:00:00.123Z,"{""city"":""London""}"\r\n',
        },
      },
      [NDJSON_TYPE]: {
        schema: { type: 'string', example: '{"email":"ada@example.com","status":"active"}\n' },
      },
    },
  })
  @ApiProblems(new GroupNotFoundError(EXAMPLE))
  async export(@GroupParam() group: GroupName, @Query() query: ExportQuery): Promise<StreamableFile> {
    if (!(await this.groups.find(group))) {
      throw new GroupNotFoundError(group);
    }
    return streamed(this.#lines(group, query), query.format, group);
  }

  async *#lines(group: GroupName, { format, status }: ExportQuery): AsyncGenerator<string> {
    if (format === 'csv') {
      yield csvLine(COLUMNS);
    }
    let after: SubscriberKey | undefined;
    for (;;) {
      const page = await this.subscribers.list(group, { after, limit: PAGE, status });
      yield page.map(format === 'csv' ? csvRow : jsonLine).join('');
      after = page.at(-1)?.key;
      if (page.length < PAGE) {
        return;
      }
    }
  }
}

function csvRow({ email, name, status, timeZone, joinedAt, attributes }: Subscriber): string {
  const hasAttributes = Object.keys(attributes).length > 0;
  return csvLine([
    email,
    name ?? '',
    status,
    timeZone ?? '',
    formatInstant(joinedAt),
    hasAttributes ? JSON.stringify(attributes) : '',
  ]);
}

function jsonLine({ email, name, status, timeZone, joinedAt, attributes }: Subscriber): string {
  const line = {
    email,
    ...(name !== undefined && { name }),
    status,
    ...(timeZone !== undefined && { time_zone: timeZone }),
    date_joined: formatInstant(joinedAt),
    attributes,
  };
  return `${JSON.stringify(line)}\n`;
}
