import { Injectable } from '@nestjs/common';

/** Something without which the server cannot do its work. */
export abstract class ReadinessProbe {
  /** Short and stable, such as `database`; anybody may read it. */
  abstract readonly name: string;

  /** Rejects when it is not usable; what it rejects with is logged and not shown. */
  abstract check(): Promise<void>;
}

/** The probes that decide whether the server is ready; whoever owns one registers it when its module starts. */
@Injectable()
export class Readiness {
  readonly #probes: ReadinessProbe[] = [];

  get probes(): readonly ReadinessProbe[] {
    return this.#probes;
  }

  register(probe: ReadinessProbe): void {
    this.#probes.push(probe);
  }
}
