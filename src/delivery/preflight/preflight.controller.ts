import { Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiProperty, ApiTags } from '@nestjs/swagger';
import { type GroupName, parseGroupName } from '../../groups/group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from '../../groups/params.ts';
import { Needs } from '../../platform/auth/roles.ts';
import { ApiProblems } from '../../platform/http/api-problems.ts';
import { type Finding, PREFLIGHT_RESULTS, type PreflightResult } from '../../schedule/finding.ts';
import { type MessageKey, MessageNotFoundError } from '../../schedule/message.ts';
import { MESSAGE_PARAM_DOCS, MessageParam } from '../../schedule/params.ts';
import { ScheduleService } from '../../schedule/schedule.service.ts';
import { Preflight } from './preflight.ts';

class FindingView {
  @ApiProperty({ description: 'Stable.', example: 'spf' })
  readonly rule!: string;

  @ApiProperty({
    enum: PREFLIGHT_RESULTS,
    example: 'fail',
    description: 'fail: it would not go, or hardly arrive. warn: worse for it, or nobody could look.',
  })
  readonly result!: PreflightResult;

  @ApiProperty({ example: 'example.com has no SPF record.' })
  readonly detail!: string;

  @ApiProperty({ description: 'Where the rule is written.', example: 'RFC 7208, 4.5' })
  readonly source!: string;
}

class PreflightView {
  @ApiProperty({ enum: PREFLIGHT_RESULTS, description: 'The worst of the findings.', example: 'fail' })
  readonly result!: PreflightResult;

  @ApiProperty({ type: [FindingView], description: 'One for each rule.' })
  readonly findings!: readonly Finding[];
}

@ApiTags('messages')
@ApiParam(GROUP_PARAM_DOCS)
@ApiParam(MESSAGE_PARAM_DOCS)
@Controller(['v1/groups/:group/schedule/:key/preflight', ':group/schedule/:key/preflight'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class PreflightController {
  constructor(
    private readonly schedule: ScheduleService,
    private readonly preflight: Preflight,
  ) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Check a message before it goes out',
    description:
      'Makes a mail of it, asks DNS about the domain that it is from and SES, where that sends, about the sender, and counts who is to get it. Sends nothing and changes nothing.',
  })
  @ApiOkResponse({ type: PreflightView })
  @ApiProblems(new MessageNotFoundError(parseGroupName('serverless')))
  async check(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
  ): Promise<PreflightView> {
    const findings = await this.preflight.check(await this.schedule.get(group, key));
    const results = new Set(findings.map(({ result }) => result));
    return { result: results.has('fail') ? 'fail' : results.has('warn') ? 'warn' : 'pass', findings };
  }
}
