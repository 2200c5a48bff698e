import { Module } from '@nestjs/common';
import { Planner } from './planner.ts';
import { ScheduleController } from './schedule.controller.ts';
import { ScheduleService } from './schedule.service.ts';
import { WakeSignal } from './wake-signal.ts';

/** WHAT, AND WHEN: messages, their content and their times. */
@Module({
  controllers: [ScheduleController],
  providers: [Planner, ScheduleService, WakeSignal],
  exports: [Planner, ScheduleService, WakeSignal],
})
export class ScheduleModule {}
