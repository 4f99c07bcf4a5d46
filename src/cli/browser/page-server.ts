/** A server on localhost for one page: the runtime's files, what is put there, and a place to send outputs to. */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';

/** Bytes, or the path of a file, which is served as it is read. */
export type Served = Uint8Array | string;

export interface PageServer {
  /** `http://localhost:<port>` */
  readonly origin: string;
  /** Puts something at `/files/<key>`; gives that path. */
  put(key: string, served: Served): string;
  /** What the page sent to `/sent/<key>`. */
  sent(key: string): Uint8Array | undefined;
  /** Forgets all that was put there and sent. */
  clear(): void;
  close(): Promise<void>;
}

/**
 * What compilers turn the text of a sent function into must work there: tsx calls `__name`, and tsc writes helpers of its own
 * around `import()` of what is no literal, so that the page has to do that.
 */
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script>
globalThis.__name = (f) => f;
globalThis.importModule = (path) => import(path);
</script>`;

const TYPES: Readonly<Record<string, string | undefined>> = {
  '.mjs': 'text/javascript',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Serves `dist` of onnxruntime-web at `/ort/`, and nothing else of the disk but what is put there. */
export async function openPageServer(dist: string): Promise<PageServer> {
  const files = new Map<string, Served>();
  const sent = new Map<string, Uint8Array>();
  const server = createServer((request, response) => {
    answer(request, response, { dist, files, sent }).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server on TCP has an address of that kind.
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://localhost:${port}`,
    put(key, served) {
      files.set(key, served);
      return `/files/${encodeURIComponent(key)}`;
    },
    sent: (key) => sent.get(key),
    clear() {
      files.clear();
      sent.clear();
    },
    close: () => closed(server),
  };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

interface Shelf {
  readonly dist: string;
  readonly files: ReadonlyMap<string, Served>;
  readonly sent: Map<string, Uint8Array>;
}

async function answer(request: IncomingMessage, response: ServerResponse, shelf: Shelf): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  const [, place, ...rest] = pathname.split('/');
  const key = decodeURIComponent(rest.join('/'));
  if (place === 'sent' && request.method === 'POST') {
    shelf.sent.set(key, await bodyOf(request));
    response.writeHead(204).end();
    return;
  }
  if (place === '') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    return;
  }
  const served = place === 'ort' ? join(shelf.dist, basename(key)) : shelf.files.get(key);
  if (served === undefined) response.writeHead(404).end();
  else send(served, response);
}

function send(served: Served, response: ServerResponse): void {
  if (typeof served === 'string') {
    const size = statSync(served, { throwIfNoEntry: false })?.size;
    if (size === undefined) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(served)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'content-length': size });
    createReadStream(served).pipe(response);
    return;
  }
  response.writeHead(200, { 'content-length': served.byteLength }).end(served);
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  // Without an encoding a request gives buffers.
  for await (const chunk of request) chunks.push(chunk as Buffer);
  // Of its own: views of other types want their bytes aligned.
  return new Uint8Array(Buffer.concat(chunks)).slice();
}
