// The Connect protocol with JSON, as far as the page needs it: unary calls, and streams of messages
// from the server.

/** An error of the coordinator or of the way to it. `code` is a code of Connect, such as `not_found`. */
export class CallError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
    this.name = "CallError";
  }
}

/** Returns any thrown value as a CallError. An error of fetch means that nobody answers. */
export const callErrorOf = (e: unknown): CallError =>
  e instanceof CallError ? e : new CallError("unavailable", e instanceof Error ? e.message : String(e));

/** A caller of the coordinator. The services are below `base`, which ends with a slash. */
export interface Client {
  readonly base: string;
  /** A bearer token that a person typed, or empty. */
  token: string;
  readonly fetch: typeof fetch;
}

const send = (c: Client, method: string, type: string, body: BodyInit, signal?: AbortSignal): Promise<Response> => {
  const headers: Record<string, string> = { "content-type": type, "connect-protocol-version": "1" };
  if (c.token !== "") headers["authorization"] = `Bearer ${c.token}`;
  return c.fetch(`${c.base}meshhealth.v1.${method}`, { method: "POST", headers, body, signal: signal ?? null, cache: "no-store" });
};

/** Calls a unary method such as `AdminService/Explain`. */
export const call = async (c: Client, method: string, request: unknown, signal?: AbortSignal): Promise<unknown> => {
  const response = await send(c, method, "application/json", JSON.stringify(request), signal);
  if (!response.ok) throw await refusal(response);
  return response.json();
};

/** The largest message that the page reads. The coordinator sends snapshots in smaller pieces. */
const maxMessage = 32 << 20;
const lastFlag = 2;

/** Calls a method that answers with a stream. Yields the JSON text of each message. */
export async function* stream(c: Client, method: string, request: unknown, signal: AbortSignal): AsyncGenerator<string, void, void> {
  const response = await send(c, method, "application/connect+json", envelope(JSON.stringify(request)), signal);
  if (!response.ok || response.body === null) throw await refusal(response);
  const decoder = new TextDecoder();
  for await (const { flags, body } of envelopes(response.body)) {
    const text = decoder.decode(body);
    if ((flags & lastFlag) === 0) {
      yield text;
      continue;
    }
    const { error } = JSON.parse(text) as { error?: { code?: string; message?: string } };
    if (error) throw new CallError(error.code ?? "unknown", error.message ?? "");
    return;
  }
  throw new CallError("unavailable", "the stream ended before its last message");
}

/** Puts one message into an envelope: a byte of flags and four bytes of the length before it. */
const envelope = (text: string): Uint8Array<ArrayBuffer> => {
  const body = new TextEncoder().encode(text);
  const all = new Uint8Array(5 + body.length);
  new DataView(all.buffer).setUint32(1, body.length);
  all.set(body, 5);
  return all;
};

async function* envelopes(stream: ReadableStream<Uint8Array>): AsyncGenerator<{ flags: number; body: Uint8Array }, void, void> {
  const reader = stream.getReader();
  let kept: Uint8Array = new Uint8Array(0); // the beginning of an envelope
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      kept = kept.length === 0 ? value : joined(kept, value);
      let at = 0;
      while (kept.length - at >= 5) {
        const size = new DataView(kept.buffer, kept.byteOffset + at).getUint32(1);
        if (size > maxMessage) throw new CallError("resource_exhausted", `message: has ${size} bytes; allowed: ${maxMessage}`);
        if (kept.length - at < 5 + size) break;
        const flags = kept[at]!;
        if ((flags & 1) !== 0) throw new CallError("internal", "message: is compressed; allowed: identity");
        yield { flags, body: kept.subarray(at + 5, at + 5 + size) };
        at += 5 + size;
      }
      kept = kept.subarray(at);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

const joined = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
};

/** The codes for answers that have no body of Connect: those of a proxy, and of the listener itself. */
const codes: Record<number, string> = { 401: "unauthenticated", 403: "permission_denied", 404: "unimplemented", 429: "unavailable" };

const refusal = async (response: Response): Promise<CallError> => {
  const text = (await response.text().catch(() => "")).slice(0, 4096);
  try {
    const { code, message } = JSON.parse(text) as { code?: string; message?: string };
    if (code !== undefined) return new CallError(code, message ?? "");
  } catch {
    // The answer is no JSON, so it has no code.
  }
  return new CallError(codes[response.status] ?? "unavailable", `HTTP ${response.status} ${text.trim().slice(0, 300)}`.trim());
};
