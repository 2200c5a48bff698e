import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Settings } from '../config/settings.ts';
import { Log } from '../logging/log.ts';
import { ApiKeyGuard } from './api-key.guard.ts';
import { type Announce, ANNOUNCE, ApiKeys, openApiKeys } from './api-keys.ts';

const announceOnStdout: Announce = (lines) => {
  process.stdout.write(`${lines.join('\n')}\n`);
};

@Module({
  providers: [
    { provide: ANNOUNCE, useValue: announceOnStdout },
    { provide: ApiKeys, useFactory: openApiKeys, inject: [Settings, ANNOUNCE, Log] },
    { provide: APP_GUARD, useClass: ApiKeyGuard },
  ],
  exports: [ApiKeys],
})
export class AuthModule {}
