import { Module, type OnApplicationShutdown } from '@nestjs/common';
import { Settings } from '../config/settings.ts';
import { Tracing } from './tracing.ts';

@Module({
  providers: [{ provide: Tracing, useFactory: openTracing, inject: [Settings] }],
  exports: [Tracing],
})
export class TracingModule implements OnApplicationShutdown {
  constructor(private readonly tracing: Tracing) {}

  async onApplicationShutdown(): Promise<void> {
    await this.tracing.close();
  }
}

/** OpenTelemetry is loaded where somebody wants traces. */
async function openTracing({ otlpEndpoint }: Settings): Promise<Tracing> {
  if (otlpEndpoint === undefined) {
    return new Tracing(undefined);
  }
  const { OtlpTracer } = await import('./otlp-tracer.ts');
  return new Tracing(new OtlpTracer(otlpEndpoint));
}
