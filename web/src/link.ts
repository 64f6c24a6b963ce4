// The side of a tab of the connection to the hub.
import type { FiguresJson } from "./gen/meshhealth/v1/health_pb";
import type { Answer, Message, Request } from "./hub";
import { CallError } from "./protocol";

/** A hash of the sources. Tabs of two versions of the page have two workers. */
declare const buildStamp: string;

type Told = Extract<Answer, { kind: "news" | "coordinator" }>;

/** What a tab hears of the hub. */
export interface Listener {
  message(m: Message): void;
  told(a: Told): void;
}

/** The connection of this tab to the hub. */
export class Link {
  private port: MessagePort | undefined;
  private queue: Request[] = [];
  private nextID = 1;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(e: CallError): void }>();
  private readonly readers = new Map<number, { readonly request: Request; on(f: readonly FiguresJson[]): void }>();

  constructor(private readonly listener: Listener) {}

  async open(): Promise<void> {
    const script = new URL("assets/worker.js", document.baseURI).href;
    const shared = sharedPort(script);
    const port = shared ?? (await ownPort(script));
    port.onmessage = (e: MessageEvent<Answer>) => this.receive(e.data);
    this.port = port;
    const early = this.queue.splice(0);
    this.join();
    for (const r of early) port.postMessage(r);
    window.addEventListener("pagehide", () => this.send({ kind: "bye" }));
    window.addEventListener("pageshow", (e) => e.persisted && this.join());
    // A tab with its own stream holds it only while a person sees the tab.
    if (!shared) document.addEventListener("visibilitychange", () => (document.hidden ? this.send({ kind: "bye" }) : this.join()));
  }

  private join(): void {
    this.send({ kind: "hello" });
    for (const { request } of this.readers.values()) this.send(request);
  }

  send(r: Request): void {
    if (this.port) this.port.postMessage(r);
    else this.queue.push(r);
  }

  call(method: string, request: unknown, signal?: AbortSignal): Promise<unknown> {
    const id = this.nextID++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send({ kind: "call", id, method, request });
      signal?.addEventListener("abort", () => {
        if (!this.waiting.delete(id)) return;
        this.send({ kind: "cancel", id });
        reject(new CallError("canceled", "the call was cancelled"));
      });
    });
  }

  figures(names: readonly string[], every: number, on: (f: readonly FiguresJson[]) => void): () => void {
    const id = this.nextID++;
    const request: Request = { kind: "figures", id, names, every };
    this.readers.set(id, { request, on });
    if (this.port) this.send(request);
    return () => {
      this.readers.delete(id);
      this.send({ kind: "cancel", id });
    };
  }

  private receive(a: Answer): void {
    switch (a.kind) {
      case "figures":
        this.readers.get(a.id)?.on(a.figures);
        break;
      case "value":
        this.waiting.get(a.id)?.resolve(a.value);
        this.waiting.delete(a.id);
        break;
      case "error":
        this.waiting.get(a.id)?.reject(new CallError(a.code, a.message));
        this.waiting.delete(a.id);
        break;
      case "messages":
        for (const m of a.messages) this.listener.message(m);
        this.send({ kind: "ack", messages: a.messages.length });
        break;
      default:
        this.listener.told(a);
    }
  }
}

const sharedPort = (script: string): MessagePort | undefined => {
  try {
    return new SharedWorker(script, { type: "module", name: `meshhealth ${buildStamp}` }).port;
  } catch {
    return undefined; // The browser has none, or forbids it here, for example in a frame of another site.
  }
};

/** Returns the port of a hub in this tab. */
const ownPort = async (script: string): Promise<MessagePort> => {
  const { serve } = (await import(script)) as typeof import("./worker");
  const { port1, port2 } = new MessageChannel();
  serve(port2);
  return port1;
};
