import type { IncomingMessage } from 'node:http';
import type { Role } from './roles.ts';

/** Who makes a request: the key that it showed. */
export interface Caller {
  readonly name: string;
  readonly role: Role;
}

const callers = new WeakMap<IncomingMessage, Caller>();

export function rememberCaller(request: IncomingMessage, caller: Caller): void {
  callers.set(request, caller);
}

/** Absent while the guard has not let the request in, and where anybody may call. */
export function callerOf(request: IncomingMessage): Caller | undefined {
  return callers.get(request);
}
