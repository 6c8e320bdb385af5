'use strict';
// A small binding of libapus: a server and a client that libuv drives, like those of
// Node.js. While a server listens, or a client waits for something, the process goes on.

const native = require(process.env.APUS_ADDON ?? './apus.node');

const GET = 0, EVENTS = 1, WEBSOCKET = 2;

// Calls a handler, which may be asynchronous: then its promise is given back. What it
// throws is reported, as nothing may be thrown into C.
function attempt(handler, failed = () => {}) {
  const caught = (error) => {
    console.error('a handler failed:', error);
    failed();
  };
  try {
    const result = handler();
    if (typeof result?.then === 'function') return Promise.resolve(result).catch(caught);
  } catch (error) {
    caught(error);
  }
}

function string(value) {
  if (typeof value !== 'string') throw new TypeError(`a string is wanted, not ${typeof value}`);
  return value;
}

// Text for C, which would end at a NUL inside.
function text(value) {
  if (string(value).includes('\0')) throw new TypeError('a NUL inside text');
  return value;
}

function failure(code, message) {
  return Object.assign(new Error(message), { code });
}

// What the addon calls back: handlers by their index, which the object itself refers to.
class Emitter {
  constructor(isServer) {
    this.handlers = [];
    native.make(this, isServer);
  }

  emit(index, ...values) {
    attempt(() => this.handlers[index]?.(...values));
  }

  // Ends it at once; it may be called at any time, and again.
  destroy() {
    native.destroy(this);
  }
}

class Server extends Emitter {
  constructor() {
    super(true);
  }

  #route(kind, pattern, handler) {
    native.route(this, kind, text(pattern), this.handlers.push(handler) - 1);
    return this;
  }

  // Handlers may be asynchronous. What one throws, or no reply, is a 500.
  get(pattern, handler) {
    return this.#route(GET, pattern, (handle) => {
      const promise = attempt(() => handler(new Request(handle)));
      if (promise && native.defer(handle)) promise.then(() => native.giveUp(handle));
    });
  }

  events(pattern, handler) {
    return this.#route(EVENTS, pattern, (writer, request) => {
      attempt(() => handler(new Writer(writer), new Request(request)),
        () => native.abort(writer));
    });
  }

  websocket(pattern, handler) {
    return this.#route(WEBSOCKET, pattern,
      (channel, message) => handler(new Channel(channel), message));
  }

  // Gives the port.
  listen(port, host = '127.0.0.1') {
    return native.start(this, text(host), port);
  }

  // Lets what is under way finish, which blocks; what waits for a promise is cut off in the
  // end. It must not be inside a callback, and so begins behind the one that may be running.
  stop() {
    return new Promise(setImmediate).then(() => native.stop(this));
  }
}

class Request {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  param(name) {
    return native.param(this.#handle, text(name));
  }

  text(status, body) {
    native.reply(this.#handle, status, string(body));
  }
}

class Writer {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  event(id, data) {
    native.event(this.#handle, text(String(id)), string(data));
  }

  end() {
    native.end(this.#handle);
  }
}

class Channel {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // A string goes as text, a Buffer as binary.
  send(message) {
    native.send(this.#handle, message instanceof Uint8Array ? message : string(message));
  }

  close() {
    native.close(this.#handle);
  }
}

class Client extends Emitter {
  #free = [];

  constructor() {
    super(false);
  }

  // Lets start(index) begin something, and settles a promise by what comes of it.
  #begin(start, on) {
    return new Promise((resolve, reject) => {
      const index = this.#free.pop() ?? this.handlers.length;
      const end = () => {
        this.handlers[index] = null;
        this.#free.push(index);
      };
      this.handlers[index] = (what, first, second) => on[what](resolve, reject, end, first, second);
      try {
        start(index);
      } catch (error) {
        end();
        throw error;
      }
    });
  }

  // Ends it as any other; what it has begun fails, and its channels close.
  destroy() {
    super.destroy();
    this.handlers.forEach((handler, index) => {
      this.emit(index, 'error', 'APUS_E_CLOSED', 'the client was destroyed');
      if (this.handlers[index] === handler) this.emit(index, 'close', 1006, '');
    });
  }

  get(url) {
    return this.#begin((index) => native.get(this, text(url), index), {
      done: (resolve, reject, end, status, body) => { end(); resolve({ status, body }); },
      error: (resolve, reject, end, code, message) => { end(); reject(failure(code, message)); },
    });
  }

  // Gives a channel that is open, whose messages and end go to two functions.
  connect(url, onMessage, onClose = () => {}) {
    return this.#begin((index) => native.connect(this, text(url), index), {
      open: (resolve, reject, end, channel) => resolve(new Channel(channel)),
      message: (resolve, reject, end, message) => onMessage(message),
      error: (resolve, reject, end, code, message) => reject(failure(code, message)),
      close: (resolve, reject, end, code, reason) => { end(); onClose(code, reason); },
    });
  }
}

module.exports = { Server, Client, live: native.live };
