import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { AuthModule } from './auth/auth.module.ts';
import { Clock } from './clock/clock.ts';
import { SystemClock } from './clock/system-clock.ts';
import { Settings } from './config/settings.ts';
import { SettingsModule } from './config/settings.module.ts';
import { HealthModule } from './health/health.module.ts';
import { PageCursors } from './http/page-cursor.ts';
import { PublicUrl } from './http/public-url.ts';
import { ProblemFilter } from './http/problem.filter.ts';
import { RouteMethods } from './http/route-methods.ts';
import { RequestPipe } from './http/request.pipe.ts';
import { openSigningKey, SigningKey } from './http/signing-key.ts';
import { Shutdown } from './lifecycle/shutdown.ts';
import { LoggingModule } from './logging/logging.module.ts';
import { MetricsModule } from './metrics/metrics.module.ts';
import { TracingModule } from './tracing/tracing.module.ts';

/** Everything that knows nothing about messages. */
@Global()
@Module({
  imports: [SettingsModule, LoggingModule, AuthModule, HealthModule, MetricsModule, TracingModule],
  providers: [
    { provide: Clock, useClass: SystemClock },
    { provide: SigningKey, useFactory: openSigningKey, inject: [Settings] },
    { provide: APP_FILTER, useClass: ProblemFilter },
    { provide: APP_PIPE, useClass: RequestPipe },
    PageCursors,
    PublicUrl,
    RouteMethods,
    Shutdown,
  ],
  exports: [
    Clock,
    SigningKey,
    PageCursors,
    PublicUrl,
    Shutdown,
    AuthModule,
    HealthModule,
    MetricsModule,
    TracingModule,
  ],
})
export class PlatformModule {}
