import { describe } from 'vitest';
import { describeSesFlow } from '../flow/ses.flow.ts';

describe('the engine aws', () => {
  describeSesFlow();
});
