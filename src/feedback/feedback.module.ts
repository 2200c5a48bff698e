import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.ts';
import { GroupsModule } from '../groups/groups.module.ts';
import { FeedbackController } from './feedback.controller.ts';
import { FeedbackMetrics } from './feedback-metrics.ts';
import { FeedbackReader } from './feedback-reader.ts';
import { FeedbackTaker } from './feedback-taker.ts';
import { ReturnPathReader } from './return-path-reader.ts';

/** WHAT BECAME OF IT: what is heard of deliveries after they have left. */
@Module({
  imports: [DeliveryModule, GroupsModule],
  controllers: [FeedbackController],
  providers: [FeedbackMetrics, FeedbackReader, FeedbackTaker, ReturnPathReader],
})
export class FeedbackModule {}
