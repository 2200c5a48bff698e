import { afterAll, beforeAll, describe } from 'vitest';
import { describeSesFlow } from '../flow/ses.flow.ts';
import { type AwsGround, openAwsGround } from './aws-ground.ts';

describe('the engine aws', () => {
  let ground: AwsGround;

  beforeAll(async () => {
    ground = await openAwsGround();
  });

  afterAll(() => ground.close());

  describeSesFlow(() => ground.env);
});
