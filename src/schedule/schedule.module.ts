import { Module } from '@nestjs/common';
import { CalendarController } from './calendar.controller.ts';
import { CalendarFeedController } from './calendar-feed.controller.ts';
import { CalendarFeed } from './calendar-feed.ts';
import { CalendarLinks } from './calendar-links.ts';
import { Calendar } from './calendar.ts';
import { Planner } from './planner.ts';
import { ScheduleController } from './schedule.controller.ts';
import { ScheduleService } from './schedule.service.ts';
import { SeriesController } from './series.controller.ts';
import { SeriesService } from './series.service.ts';
import { TimePreview } from './time-preview.ts';
import { TimeReader } from './time-reader.ts';
import { WakeSignal } from './wake-signal.ts';
import { SystemZoneRules, ZoneRules } from './zone-rules.ts';

/** WHAT, AND WHEN: messages, their content and their times. */
@Module({
  controllers: [CalendarController, CalendarFeedController, ScheduleController, SeriesController],
  providers: [
    Calendar,
    CalendarFeed,
    CalendarLinks,
    Planner,
    ScheduleService,
    SeriesService,
    TimePreview,
    TimeReader,
    WakeSignal,
    { provide: ZoneRules, useClass: SystemZoneRules },
  ],
  exports: [Planner, ScheduleService, SeriesService, WakeSignal, ZoneRules],
})
export class ScheduleModule {}
