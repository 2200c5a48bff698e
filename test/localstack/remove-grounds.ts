import { afterAll } from 'vitest';
import { removeIdleLots } from './aws-ground.ts';

/* A setup file: runs in each spec file on AWS, and its hook after all of the file's own. */

afterAll(removeIdleLots);
