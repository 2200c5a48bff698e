import { Readable } from 'node:stream';
import { Controller, Get, Query, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { Needs } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { ListQuery, type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { ConsentRecordView, viewConsent } from './consent.dto.ts';
import { ConsentNotFoundError } from './consent.ts';
import { ConsentStore } from './consent-store.ts';
import { type GroupName, parseGroupName } from './group.ts';
import {
  GROUP_PARAM_DOCS,
  GroupParam,
  readPosition,
  SUBSCRIBER_PARAM_DOCS,
  SubscriberParam,
} from './params.ts';
import type { SubscriberKey } from './subscriber.ts';

const NDJSON = 'application/x-ndjson';
const EXPORT_PAGE = 500;

/** Who agreed to what, and when; of those who have left, too. */
@ApiTags('consent')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group', ':group'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class ConsentController {
  constructor(
    private readonly consents: ConsentStore,
    private readonly cursors: PageCursors,
  ) {}

  @Get('subscribers/:email/consent')
  @ApiOperation({
    summary: 'Read the consent record of a subscriber',
    description:
      'Everything that became of the address in this group: entries are added and never changed, and stay when the subscriber or the group is removed.',
  })
  @ApiParam(SUBSCRIBER_PARAM_DOCS)
  @ApiOkResponse({ type: ConsentRecordView })
  @ApiProblems(new ConsentNotFoundError(parseGroupName('serverless')))
  async read(
    @GroupParam() group: GroupName,
    @SubscriberParam() key: SubscriberKey,
  ): Promise<ConsentRecordView> {
    const record = await this.consents.find(group, key);
    if (!record) {
      throw new ConsentNotFoundError(group);
    }
    return viewConsent(record);
  }

  @Get('consent')
  @ApiOperation({ summary: 'List the consent records of a group', description: 'In order of address.' })
  @ApiList(ConsentRecordView)
  async list(@GroupParam() group: GroupName, @Query() query: ListQuery): Promise<Page<ConsentRecordView>> {
    const purpose = `consent/${group}`;
    const found = await this.consents.list(group, {
      after: query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor)),
      limit: query.limit + 1,
    });
    return pageOf(found, query.limit, viewConsent, (last) => this.cursors.seal(purpose, last.subscriber));
  }

  @Get('consent/export')
  @ApiOperation({
    summary: 'Export the consent records of a group',
    description: 'As NDJSON: each line is a record, in order of address.',
  })
  @ApiOkResponse({
    description: 'A line for each record.',
    content: { [NDJSON]: { schema: { type: 'string', description: 'Each line is a ConsentRecordView.' } } },
  })
  export(@GroupParam() group: GroupName): StreamableFile {
    return new StreamableFile(Readable.from(this.#lines(group)), {
      type: NDJSON,
      disposition: `attachment; filename="consent-${group}.ndjson"`,
    });
  }

  async *#lines(group: GroupName): AsyncGenerator<Buffer> {
    for (let after: SubscriberKey | undefined; ;) {
      const page = await this.consents.list(group, { after, limit: EXPORT_PAGE });
      yield Buffer.from(page.map((record) => `${JSON.stringify(viewConsent(record))}\n`).join(''));
      if (page.length < EXPORT_PAGE) {
        return;
      }
      after = page.at(-1)?.subscriber;
    }
  }
}
