import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const TXT = 16;
const IN = 1;
const HEADER_BYTES = 12;
const ANSWER = 0x8180; // a response; recursion was wanted, and there is some
const NO_SUCH_NAME = 3;
const SERVER_FAILURE = 2;
const TTL_SECONDS = 60;

/** The TXT records of a name; `failing`: the server cannot answer for it, `silent`: it never does. */
export type Zone = Record<string, readonly string[] | 'failing' | 'silent'>;

/** A DNS server for TXT records (RFC 1035, 4), on loopback. Names that are not in its zone do not exist. */
export class DnsServer implements AsyncDisposable {
  /** Of which names it was asked, in order. */
  readonly asked: readonly string[];
  readonly #socket: Socket;

  /** @param zone may be changed meanwhile. */
  static async start(zone: Readonly<Zone>): Promise<DnsServer> {
    const asked: string[] = [];
    const socket = createSocket('udp4');
    socket.on('message', (query, from) => {
      const { name } = readName(query);
      asked.push(name);
      if (zone[name] !== 'silent') {
        socket.send(answer(query, zone), from.port, from.address);
      }
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsServer(socket, asked);
  }

  private constructor(socket: Socket, asked: readonly string[]) {
    this.asked = asked;
    this.#socket = socket;
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }
}

function answer(query: Buffer, zone: Zone): Buffer {
  const { name, end } = readName(query);
  const question = query.subarray(HEADER_BYTES, end + 4);
  const texts = zone[name];
  const records = typeof texts === 'object' ? texts.map(txtRecord) : [];
  const code = texts === undefined ? NO_SUCH_NAME : typeof texts === 'string' ? SERVER_FAILURE : 0;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header.writeUInt16BE(ANSWER | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, question, ...records]);
}

function readName(query: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('ascii', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

/** With a pointer to the name of the question, and the text in parts of at most 255 bytes. */
function txtRecord(text: string): Buffer {
  const bytes = Buffer.from(text);
  const parts: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += 255) {
    const part = bytes.subarray(start, start + 255);
    parts.push(Buffer.from([part.length]), part);
  }
  const data = Buffer.concat(parts);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  head.writeUInt16BE(TXT, 2);
  head.writeUInt16BE(IN, 4);
  head.writeUInt32BE(TTL_SECONDS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
