import { Module } from '@nestjs/common';
import { MetricsController } from './metrics.controller.ts';
import { MetricsPublisher } from './metrics-publisher.ts';
import { Metrics } from './metrics.ts';

@Module({
  controllers: [MetricsController],
  providers: [Metrics, MetricsPublisher],
  exports: [Metrics],
})
export class MetricsModule {}
