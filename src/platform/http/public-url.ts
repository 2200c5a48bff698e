import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Settings } from '../config/settings.ts';

/** Where people reach this server: what links in mails begin with. */
@Injectable()
export class PublicUrl {
  /** Once the server listens. */
  #found: string | undefined;

  constructor(
    private readonly settings: Settings,
    private readonly adapters: HttpAdapterHost,
  ) {}

  /** Without a slash at its end: PUBLIC_URL, else made from the host and the port that the server listens on. */
  get base(): string {
    this.#found ??= this.settings.publicUrl ?? this.#whereItListens();
    return this.#found ?? this.#at(this.settings.port);
  }

  #whereItListens(): string | undefined {
    const server: unknown = this.adapters.httpAdapter?.getHttpServer();
    const address = isListening(server) ? server.address() : null;
    return typeof address === 'object' && address !== null ? this.#at(address.port) : undefined;
  }

  #at(port: number): string {
    const { host } = this.settings;
    const shown = host.includes(':') ? `[${host}]` : host;
    const isEverywhere = ['0.0.0.0', '[::]', '127.0.0.1'].includes(shown);
    return `http://${isEverywhere ? 'localhost' : shown}:${port}`;
  }
}

function isListening(server: unknown): server is { address(): { readonly port: number } | string | null } {
  return typeof server === 'object' && server !== null && 'address' in server;
}
