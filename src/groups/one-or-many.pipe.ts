import { Injectable, type PipeTransform } from '@nestjs/common';
import { RequestPipe } from '../platform/http/request.pipe.ts';
import { NewSubscriber, NewSubscribers } from './subscriber.dto.ts';

/** Checks a body that is one subscriber, or a list of them under `subscribers`. */
@Injectable()
export class OneOrManyPipe implements PipeTransform<unknown, Promise<unknown>> {
  readonly #dto = new RequestPipe();

  async transform(body: unknown): Promise<unknown> {
    const isMany = typeof body === 'object' && body !== null && 'subscribers' in body;
    return this.#dto.transform(body, { type: 'body', metatype: isMany ? NewSubscribers : NewSubscriber });
  }
}
