import { createHash } from 'node:crypto';
import {
  type Attributes,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace as traces,
  TraceFlags,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  type IdGenerator,
  RandomIdGenerator,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { OpenSpan, SpanPlan, Tracer } from './tracing.ts';

// OpenTelemetry, OTLP exporter: the path of traces below the endpoint that stands for all signals.
const TRACES_PATH = '/v1/traces';

const ROOT_ID_LENGTH = 16;

/**
 * Sends spans by OTLP over HTTP, in batches and aside: a collector that is slow or away delays nothing, and costs its spans.
 * The root of a trace has an id that follows from the trace, so that every process knows its parent without being told.
 */
export class OtlpTracer implements Tracer {
  readonly #ids = new TraceIds();
  readonly #provider: TracerProvider;

  /** `endpoint`: as OTEL_EXPORTER_OTLP_ENDPOINT has it, without a slash at its end. */
  constructor(endpoint: string) {
    this.#provider = new TracerProvider({
      idGenerator: this.#ids,
      resource: resourceFromAttributes({ 'service.name': 'belfry' }),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${endpoint}${TRACES_PATH}` }) }),
      ],
    });
  }

  begin({ trace, name, isRoot = false, attributes = {} }: SpanPlan): OpenSpan {
    const options = { kind: SpanKind.INTERNAL, attributes: { ...attributes } satisfies Attributes };
    const tracer = this.#provider.getTracer('belfry');
    const spanId = rootIdOf(trace);
    const span = isRoot
      ? this.#ids.within({ traceId: trace, spanId }, () => tracer.startSpan(name, options, ROOT_CONTEXT))
      : tracer.startSpan(
          name,
          options,
          traces.setSpanContext(ROOT_CONTEXT, {
            traceId: trace,
            spanId,
            traceFlags: TraceFlags.SAMPLED,
            isRemote: true,
          }),
        );
    return {
      end: (error) => {
        if (error !== undefined) {
          span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : '' });
        }
        span.end();
      },
    };
  }

  async close(): Promise<void> {
    await this.#provider.shutdown();
  }
}

function rootIdOf(trace: string): string {
  return createHash('sha256').update(trace).digest('hex').slice(0, ROOT_ID_LENGTH);
}

interface Ids {
  readonly traceId: string;
  readonly spanId: string;
}

/** Random ids, but for a span that is begun `within` given ones. */
class TraceIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  #given: Ids | undefined;

  within<Result>(ids: Ids, begin: () => Result): Result {
    this.#given = ids;
    try {
      return begin();
    } finally {
      this.#given = undefined;
    }
  }

  generateTraceId(): string {
    return this.#given?.traceId ?? this.#random.generateTraceId();
  }

  generateSpanId(): string {
    return this.#given?.spanId ?? this.#random.generateSpanId();
  }
}
