import { existsSync } from 'node:fs';
import type { Environment } from './settings.ts';

const FILE = '.env';

/** The environment, completed from .env as the server completes it: what is set already wins. For commands that run without Nest. */
export function readEnvironment(): Environment {
  if (existsSync(FILE)) {
    process.loadEnvFile(FILE);
  }
  return process.env;
}
