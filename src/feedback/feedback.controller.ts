import { Body, Controller, HttpCode, Post, UseGuards } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Public } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { checkItem } from '../platform/http/check-item.ts';
import { KeepRawBody } from '../platform/http/raw-body.ts';
import {
  FeedbackOffError,
  FeedbackSignatureError,
  FeedbackSignatureGuard,
} from './feedback-signature.guard.ts';
import { FeedbackTaker } from './feedback-taker.ts';
import type { FeedbackResult } from './feedback-event.ts';
import { PostedEvent, PostedEvents, PostedEventsView, readEvent, type ReadEvent } from './feedback.dto.ts';
import { ReturnPathReader } from './return-path-reader.ts';

@ApiTags('feedback')
@Controller('v1/feedback')
@Public()
export class FeedbackController {
  constructor(
    private readonly taker: FeedbackTaker,
    private readonly returnPaths: ReturnPathReader,
  ) {}

  @Post()
  @HttpCode(200)
  @KeepRawBody()
  @UseGuards(FeedbackSignatureGuard)
  @ApiOperation({
    summary: 'Say what became of mails that were sent by SMTP',
    description:
      'For whoever reads the bounces. Signed instead of a key, with FEEDBACK_SECRET. A bounce for good and a complaint end the subscription and suppress the address; the same event again changes nothing. Each event is answered for itself, in the order given.',
  })
  @ApiHeader({
    name: 'Belfry-Signature',
    required: true,
    description:
      't=<seconds since 1970>,v1=<hex>: the HMAC-SHA256 of t, a dot and the body, with FEEDBACK_SECRET. Good for five minutes.',
    schema: {
      type: 'string',
      example: 't=1795443005,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd',
    },
  })
  @ApiOkResponse({ type: PostedEventsView })
  @ApiProblems(400, 413, 415, 503, new FeedbackSignatureError(), new FeedbackOffError())
  async post(@Body() body: PostedEvents): Promise<PostedEventsView> {
    const results: PostedEventsView['results'][number][] = [];
    for (const [index, item] of body.events.entries()) {
      const checked = await checkItem(PostedEvent, item, `/events/${index}`, readEvent);
      results.push(
        checked.kind === 'valid'
          ? { result: await this.#take(checked.item) }
          : { result: 'invalid', errors: checked.faults },
      );
    }
    return { results };
  }

  async #take({ feedback, of }: ReadEvent): Promise<FeedbackResult> {
    const found = 'returnPath' in of ? await this.returnPaths.find(of.returnPath) : of;
    return typeof found === 'string' ? found : this.taker.take({ ...feedback, ...found });
  }
}
