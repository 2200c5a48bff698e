/** What of an AWS client is needed here. */
interface WithMiddleware {
  readonly middlewareStack: { remove(name: string): boolean };
}

/**
 * The same client without the part of it that prepares input and output of every call for a logger: nobody listens to one, and it goes
 * through all that is sent. A second call does nothing.
 */
export function unlogged<Client extends WithMiddleware>(client: Client): Client {
  client.middlewareStack.remove('loggerMiddleware');
  return client;
}
