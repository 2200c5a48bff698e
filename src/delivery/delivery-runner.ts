import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Settings } from '../platform/config/settings.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import { Log } from '../platform/logging/log.ts';
import { Channel } from './channels/channel.ts';
import { ConfirmationSender } from './confirmation-sender.ts';
import { DueScanner } from './due-scanner.ts';
import { PreflightWatch } from './preflight/preflight-watch.ts';
import { Pacer } from './rate/pacer.ts';
import { Worker } from './worker.ts';

/** Runs scanner and worker for as long as a process in the role `worker` runs. */
@Injectable()
export class DeliveryRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    private readonly scanner: DueScanner,
    private readonly worker: Worker,
    private readonly confirmations: ConfirmationSender,
    private readonly watch: PreflightWatch,
    private readonly channel: Channel,
    private readonly pacer: Pacer,
    private readonly shutdown: Shutdown,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    if (this.settings.roles.includes('worker')) {
      void this.pacer.start();
      this.scanner.start();
      this.worker.start();
      this.confirmations.start();
      this.watch.start();
    }
  }

  /** What is in flight ends and is settled; the rest is given back, so that nothing waits for a lease to end. */
  async beforeApplicationShutdown(): Promise<void> {
    this.shutdown.begin();
    const isDone = await this.shutdown.waitFor(this.#stop());
    this.log.info('delivery.stopped', { complete: isDone });
  }

  async #stop(): Promise<void> {
    await Promise.all([
      this.scanner.stop(),
      this.worker.stopped(),
      this.confirmations.stop(),
      this.watch.stop(),
    ]);
    await this.channel.close();
  }
}
