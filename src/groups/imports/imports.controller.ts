import { Readable } from 'node:stream';
import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Post,
  Query,
  Res,
  StreamableFile,
} from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBody,
  ApiConsumes,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Needs } from '../../platform/auth/roles.ts';
import { DomainError } from '../../platform/errors/domain-error.ts';
import { ApiProblems } from '../../platform/http/api-problems.ts';
import { ApiList } from '../../platform/http/list-docs.ts';
import { ListQuery, type Page, pageOf } from '../../platform/http/list-query.ts';
import { PageCursors } from '../../platform/http/page-cursor.ts';
import { TakesStream } from '../../platform/http/stream-body.ts';
import { type GroupName, parseGroupName } from '../group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from '../params.ts';
import { CSV_TYPE, NDJSON_TYPE, streamed } from '../streamed.ts';
import { ImportQuery, ImportView, ReportQuery, viewImport } from './import.dto.ts';
import { type ImportFormat, type ImportKey, ImportNotFoundError, isImportKey } from './import-job.ts';
import { reportLines } from './import-report.ts';
import { ImportStore } from './import-store.ts';
import { ImportInterruptedError, ImportsService, ImportTooLargeError } from './imports.service.ts';
import { IMPORT_PARAM_DOCS, ImportParam } from './params.ts';

const EXAMPLE = parseGroupName('serverless');
const CSV_EXAMPLE =
  'email,name,city\r\ngrace@example.com,Grace Hopper,New York\r\nalan@example.com,Alan Turing,London\r\n';
const FORMAT_OF_TYPE: ReadonlyMap<string, ImportFormat> = new Map([
  [CSV_TYPE, 'csv'],
  [NDJSON_TYPE, 'ndjson'],
  ['application/csv', 'csv'],
  ['application/ndjson', 'ndjson'],
  ['application/jsonl', 'ndjson'],
]);

/** The body is no file in a format that is known. */
export class ImportMediaTypeError extends DomainError {
  readonly kind = 'unsupported-media-type';
  readonly code = 'media-type-not-supported';

  constructor() {
    super(
      'The body must be the file itself, sent with Content-Type: text/csv or application/x-ndjson; of any other type but application/json, say format=csv or format=ndjson.',
    );
  }
}

@ApiTags('imports')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group/imports', ':group/imports'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class ImportsController {
  constructor(
    private readonly service: ImportsService,
    private readonly imports: ImportStore,
    private readonly cursors: PageCursors,
  ) {}

  @Post()
  @Needs('sender')
  @HttpCode(202)
  @TakesStream()
  @ApiOperation({
    summary: 'Import a file of subscribers',
    description:
      'CSV (UTF-8 or UTF-16; comma, semicolon, tab or |; the first line names the columns, or the file is one column of addresses) or one JSON object a line. Whoever is not in the group is created, whoever is is updated: a cell that is empty, or a property that is left out, changes nothing. Other columns than email, name, time_zone, status and attributes (JSON) become attributes. Whoever must not be written to any more stays so. In a group with double opt-in, whoever is new is pending and is asked to confirm by mail, five in a second, unless ask_to_confirm is false. Answered once the file is stored; a worker does the rest.',
  })
  @ApiConsumes(CSV_TYPE, NDJSON_TYPE)
  @ApiBody({ schema: { type: 'string', example: CSV_EXAMPLE } })
  @ApiAcceptedResponse({ type: ImportView })
  @ApiProblems(new ImportTooLargeError(1_073_741_824), new ImportMediaTypeError())
  async receive(
    @GroupParam() group: GroupName,
    @Query() query: ImportQuery,
    @Headers('content-type') contentType: string | undefined,
    @Body() body: unknown,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ImportView> {
    const format = query.format ?? formatOf(contentType);
    if (!(body instanceof Readable) || format === undefined) {
      throw new ImportMediaTypeError();
    }
    try {
      const plan = { group, format, dryRun: query.dry_run, askToConfirm: query.ask_to_confirm };
      return viewImport(await this.service.receive(plan, body));
    } catch (error) {
      if (error instanceof ImportTooLargeError || error instanceof ImportInterruptedError) {
        reply.header('connection', 'close'); // the rest of the file is not read
      }
      throw error;
    }
  }

  @Get()
  @ApiOperation({
    summary: 'List the imports',
    description: 'The newest first. They are forgotten a week after their end.',
  })
  @ApiList(ImportView)
  async list(@GroupParam() group: GroupName, @Query() query: ListQuery): Promise<Page<ImportView>> {
    const purpose = `imports/${group}`;
    const before =
      query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor));
    const found = await this.imports.list(group, { before, limit: query.limit + 1 });
    return pageOf(found, query.limit, viewImport, (last) => this.cursors.seal(purpose, last.key));
  }

  @Get(':key')
  @ApiOperation({
    summary: 'Read an import',
    description: 'How far it has got, and what became of the rows.',
  })
  @ApiParam(IMPORT_PARAM_DOCS)
  @ApiOkResponse({ type: ImportView })
  @ApiProblems(new ImportNotFoundError(EXAMPLE))
  async read(@GroupParam() group: GroupName, @ImportParam() key: ImportKey | 'latest'): Promise<ImportView> {
    return viewImport(await this.service.get(group, key));
  }

  @Get(':key/report')
  @ApiOperation({
    summary: 'What became of each row',
    description:
      'In the order of the file: the line, the address, the result, whether the address came before in the file, and what is wrong with a row that was rejected. Of an import that is under way, the rows that are done.',
  })
  @ApiParam(IMPORT_PARAM_DOCS)
  @ApiOkResponse({
    content: {
      [NDJSON_TYPE]: {
        schema: {
          type: 'string',
          example:
            '{"line":2,"email":"grace@example.com","result":"created","duplicate":false,"errors":[]}\n',
        },
      },
      [CSV_TYPE]: { schema: { type: 'string', example: 'line,email,result,duplicate,errors\r\n' } },
    },
  })
  @ApiProblems(new ImportNotFoundError(EXAMPLE))
  async report(
    @GroupParam() group: GroupName,
    @ImportParam() key: ImportKey | 'latest',
    @Query() query: ReportQuery,
  ): Promise<StreamableFile> {
    const job = await this.service.get(group, key);
    const lines = reportLines(this.imports, job, { format: query.format, result: query.result });
    return streamed(lines, query.format, `import-${job.key}`);
  }

  @Delete(':key')
  @Needs('sender')
  @ApiOperation({
    summary: 'Cancel an import',
    description:
      'Ends it with the rows that are in hand; what is done stays done. Of one that has ended, nothing changes.',
  })
  @ApiParam(IMPORT_PARAM_DOCS)
  @ApiOkResponse({ type: ImportView })
  @ApiProblems(new ImportNotFoundError(EXAMPLE))
  async cancel(
    @GroupParam() group: GroupName,
    @ImportParam() key: ImportKey | 'latest',
  ): Promise<ImportView> {
    return viewImport(await this.service.cancel(group, key));
  }
}

function formatOf(contentType: string | undefined): ImportFormat | undefined {
  return FORMAT_OF_TYPE.get((contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '');
}

/** Cursors are signed, so another position is a defect. */
function readPosition(position: unknown): ImportKey {
  if (typeof position !== 'string' || !isImportKey(position)) {
    throw new Error('A signed cursor of a list of imports has no key in it.');
  }
  return position;
}
