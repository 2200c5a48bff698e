import { Controller, Get, Header, Param, Query, StreamableFile } from '@nestjs/common';
import { ApiExcludeController, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsInt, IsOptional, Max, Min } from 'class-validator';
import { Needs } from '../../platform/auth/roles.ts';
import { Outbox } from './outbox.ts';
import { listPage, mailPage, PAGE_POLICY } from './outbox-page.ts';

// 100 a page: more mails than anybody leafs through.
const PAGE_MAX = 100_000;
const PAGE_FAULT = `A whole number from 1 to ${PAGE_MAX} is needed.`;

const HTML = 'text/html; charset=utf-8';
const MAIL = 'message/rfc822';

class OutboxQuery {
  @ApiPropertyOptional({ minimum: 1, maximum: PAGE_MAX, default: 1 })
  @IsOptional()
  @Type(() => Number)
  @IsInt({ message: PAGE_FAULT })
  @Min(1, { message: PAGE_FAULT })
  @Max(PAGE_MAX, { message: PAGE_FAULT })
  readonly page: number = 1;
}

/** The mails that were written instead of being sent, to be looked at in a browser. */
@ApiExcludeController()
@Needs('reader')
@Controller('outbox')
export class OutboxController {
  constructor(private readonly outbox: Outbox) {}

  @Get()
  @Header('content-type', HTML)
  @Header('content-security-policy', PAGE_POLICY)
  @Header('cache-control', 'no-store')
  async list(@Query() query: OutboxQuery): Promise<string> {
    return listPage(await this.outbox.list(query.page));
  }

  @Get(':message_key/:hash')
  @Header('content-type', HTML)
  @Header('content-security-policy', PAGE_POLICY)
  @Header('cache-control', 'no-store')
  async show(@Param('message_key') messageKey: string, @Param('hash') hash: string): Promise<string> {
    return mailPage(await this.outbox.get(messageKey, hash));
  }

  @Get(':message_key/:hash/raw')
  @Header('content-security-policy', PAGE_POLICY)
  @Header('cache-control', 'no-store')
  async raw(@Param('message_key') messageKey: string, @Param('hash') hash: string): Promise<StreamableFile> {
    const { id, eml } = await this.outbox.get(messageKey, hash);
    return new StreamableFile(eml, {
      type: MAIL,
      disposition: `attachment; filename="${id.hash}.eml"`,
      length: eml.length,
    });
  }
}
