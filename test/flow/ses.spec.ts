import { describe } from 'vitest';
import { describeSesFlow } from './ses.flow.ts';

describe('the embedded engine', () => {
  describeSesFlow();
});
