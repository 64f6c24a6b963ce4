// Makes calls with grpc-js over xDS, as the lines of stdin say. Its protocol is that of all drivers,
// see the package xds that has this folder.
'use strict';
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
const xds = require('@grpc/grpc-js-xds');

xds.register();

const method = '/meshhealth.test.Namer/Name';
const patience = 60_000; // deadline of a call in ms

const nothing = () => Buffer.alloc(0);
// The reply is a google.protobuf.StringValue with less than 128 bytes: a tag, a length and the text.
const nameOf = (reply) => reply.subarray(2).toString();

class Counts {
  constructor() { this.reset(); }
  reset() { this.backends = {}; this.errors = {}; }
  add(err, name) {
    const [counts, key] = err ? [this.errors, `${grpc.status[err.code]}: ${err.details}`] : [this.backends, name];
    counts[key] = (counts[key] ?? 0) + 1;
  }
  take(seq) {
    const all = { seq, backends: this.backends, errors: this.errors };
    this.reset();
    return all;
  }
}

class Channel {
  constructor(c) {
    let creds = grpc.credentials.createInsecure();
    if (c.secure) creds = new xds.XdsChannelCredentials(creds);
    this.client = new grpc.Client(c.target, creds);
    this.load = new Counts();
    this.stopped = false;
    this.running = [];
  }

  call(counts) {
    return new Promise((resolve) => {
      this.client.makeUnaryRequest(method, nothing, nameOf, null, { deadline: Date.now() + patience }, (err, name) => {
        counts.add(err, name);
        resolve();
      });
    });
  }

  async calls(c) {
    const made = new Counts();
    let left = c.count;
    const worker = async () => { while (left-- > 0) await this.call(made); };
    await Promise.all(Array.from({ length: c.inflight }, worker));
    return made.take(c.seq);
  }

  async execute(c) {
    switch (c.do) {
      case 'calls':
        return this.calls(c);
      case 'start': {
        const worker = async () => { while (!this.stopped) await this.call(this.load); };
        this.running = Array.from({ length: c.inflight }, worker);
        return { seq: c.seq };
      }
      case 'stop':
        this.stopped = true;
        await Promise.all(this.running);
    }
    return this.load.take(c.seq);
  }
}

const channels = new Map();
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const c = JSON.parse(line);
  if (!channels.has(c.target)) channels.set(c.target, new Channel(c));
  channels.get(c.target).execute(c).then((answer) => process.stdout.write(JSON.stringify(answer) + '\n'));
});
lines.on('close', () => process.exit(0));
