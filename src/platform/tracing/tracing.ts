/** A piece of work as a trace shows it. */
export interface SpanPlan {
  /** The trace to which it belongs: 32 hexadecimal digits, not all zero. */
  readonly trace: string;
  readonly name: string;
  /** True of the one with which the trace begins; the others are its children, whichever process they are in. */
  readonly isRoot?: boolean;
  readonly attributes?: Readonly<Record<string, string | number>>;
}

/** A span that has begun. */
export interface OpenSpan {
  /** Ends it; with what went wrong, where something did. */
  end(error?: unknown): void;
}

/** Where spans go. */
export interface Tracer {
  begin(plan: SpanPlan): OpenSpan;
  /** Sends what is left; nothing begins afterwards. */
  close(): Promise<void>;
}

/** Spans around what takes time, where somebody collects them (OTEL_EXPORTER_OTLP_ENDPOINT); otherwise nothing but the work itself. */
export class Tracing {
  constructor(private readonly tracer: Tracer | undefined) {}

  /** Resolves or rejects as `work` does. */
  async run<Result>(plan: SpanPlan, work: () => Promise<Result>): Promise<Result> {
    const span = this.tracer?.begin(plan);
    try {
      const result = await work();
      span?.end();
      return result;
    } catch (error) {
      span?.end(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.tracer?.close();
  }
}
