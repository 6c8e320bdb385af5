'use strict';
// What the garbage collector may do, by assertions.

const assert = require('assert');
const { isMainThread } = require('worker_threads');
const { Client, Server, live } = require('./apus.js');

// Collects until something holds that finalizers bring about.
async function eventually(what, holds) {
  for (const limit = Date.now() + 20000; !holds();) {
    assert(Date.now() < limit, what);
    await new Promise(setImmediate);
    global.gc();
  }
}

// A server that only its own listening keeps, and a weak reference to what its handlers
// refer to: it, too, so that there is a circle.
function begin() {
  const server = new Server();
  const held = { server };
  server.get('/load', (request) => request.text(200, String(held.server === server)));
  server.get('/later', async (request) => {
    await eventually('a tick', () => true);
    global.gc();
    request.text(200, String(isMainThread));
  });
  server.get('/now', async (request) => request.text(200, 'true'));
  server.get('/late', async () => { throw new Error('on purpose'); });
  server.events('/broken', async (writer) => {
    writer.event(1, 'one');
    await null;
    throw new Error('on purpose');
  });
  server.websocket('/echo', async (channel, message) => {
    if (message === 'fail') throw new Error('on purpose');
    channel.send(message);
  });
  server.get('/stop', (request) => {
    request.text(200, 'stopping');
    server.stop();
  });
  return { url: `http://127.0.0.1:${server.listen(0)}`, weak: new WeakRef(held) };
}

// A message whose handler fails does no harm to those behind it.
async function checkEcho(client, url) {
  const messages = ['ä', Buffer.from([0, 255]), '', Buffer.alloc(0)];
  const echoed = await new Promise((resolve, reject) => {
    const answers = [];
    const opening = client.connect(`${url}/echo`, (answer) => {
      if (answers.push(answer) === messages.length) resolve(answers);
    });
    opening.then((channel) => ['fail', ...messages].map((message) => channel.send(message)))
      .catch(reject);
  });
  assert.deepStrictEqual(echoed, messages);
}

async function checkHandlers() {
  const { url, weak } = begin();
  const client = new Client();
  for (let count = 0; count < 20; count++) {
    await eventually('a tick', () => true);
    global.gc();
    for (const path of ['/load', '/now', '/later']) {
      const { status, body } = await client.get(url + path);
      assert.deepStrictEqual([status, String(body)], [200, 'true'], path);
    }
  }
  const { status } = await client.get(`${url}/late`);
  assert.strictEqual(status, 500, 'a promise that is rejected');
  await assert.rejects(client.get(`${url}/broken`), { code: /^APUS_E_/ });
  await checkEcho(client, url.replace('http', 'ws'));
  assert(weak.deref(), 'a handler lives as long as its server');
  await client.get(`${url}/stop`);
  await assert.rejects(client.get(`${url}/load`), { code: /^APUS_E_/ });
  client.destroy();
  await eventually('a handler is let go with its server', () => !weak.deref() && live() === 0);
}

function* orders(values) {
  if (values.length === 0) yield [];
  for (const value of values) {
    for (const rest of orders(values.filter((other) => other !== value))) yield [value, ...rest];
  }
}

async function checkOrders() {
  for (const order of orders([0, 1, 2])) {
    const server = new Server().websocket('/echo', (channel, message) => channel.send(message));
    const url = `ws://127.0.0.1:${server.listen(0)}/echo`;
    const client = new Client();
    const channel = await client.connect(url, () => {});
    const ends = [() => server.destroy(), () => client.destroy(), () => channel.close()];
    for (const round of [1, 2]) {
      for (const which of order) {
        try {
          ends[which]();
        } catch (error) {
          assert.match(error.code, /^APUS_E_(HANDLE|CLOSED)$/);
        }
        global.gc();
      }
    }
    assert.throws(() => server.listen(0), { code: 'APUS_E_HANDLE' });
    assert.throws(() => channel.send(''), { code: 'APUS_E_HANDLE' });
  }
  assert.strictEqual(live(), 0, 'all that was destroyed has ended');
}

// What waits for a client that is destroyed is told so; so are its channels.
async function checkDestroyed() {
  const server = new Server().websocket('/echo', () => {});
  server.get('/never', () => new Promise(() => {}));
  const url = `http://127.0.0.1:${server.listen(0)}`;
  const client = new Client();
  let closed = 0;
  const socket = url.replace('http', 'ws');
  await client.connect(`${socket}/echo`, () => {}, () => { closed++; });
  const waiting = [client.get(`${url}/never`), client.connect(`${socket}/echo`, () => {})];
  client.destroy();
  const late = new Promise((resolve) => { setTimeout(resolve, 5000, 'no end').unref(); });
  for (const each of waiting) {
    await assert.rejects(Promise.race([each, late]), { code: 'APUS_E_CLOSED' });
  }
  client.destroy();
  assert.strictEqual(closed, 1, 'a channel closes once with its client');
  await assert.rejects(client.get(url), { code: 'APUS_E_HANDLE' });
  server.destroy();
}

// What is no text, or would end at a NUL inside, is an error before the call.
async function checkText() {
  const client = new Client(), server = new Server();
  for (const wrong of [undefined, null, 5, {}, 'a\0b']) {
    await assert.rejects(client.get(wrong), TypeError);
    await assert.rejects(client.connect(wrong, () => {}), TypeError);
    assert.throws(() => server.get(wrong, () => {}), TypeError);
    assert.throws(() => server.listen(0, wrong ?? null), TypeError);
  }
  server.get('/:name', (request) => {
    assert.throws(() => request.param(undefined), TypeError);
    assert.throws(() => request.text(200, 5), TypeError);
    request.text(200, 'a\0b');
  });
  server.events('/events/:name', (writer, request) => {
    assert.throws(() => writer.event(1, undefined), TypeError);
    assert.throws(() => writer.event('a\0b', 'data'), TypeError);
    writer.event(1, request.param('name'));
    writer.end();
  });
  server.websocket('/echo', (channel, message) => {
    assert.throws(() => channel.send(5), TypeError);
    channel.send(message);
  });
  const url = `http://127.0.0.1:${server.listen(0)}`;
  assert.strictEqual(String((await client.get(`${url}/x`)).body), 'a\0b');
  assert.match(String((await client.get(`${url}/events/x`)).body), /^id: 1\ndata: x\n\n$/);
  const echoed = await new Promise((resolve, reject) => {
    client.connect(url.replace('http', 'ws') + '/echo', resolve)
      .then((channel) => channel.send('c\0d')).catch(reject);
  });
  assert.strictEqual(echoed, 'c\0d');
  client.destroy();
  server.destroy();
}

// Makes objects and destroys none.
function leave() {
  const server = new Server();
  server.get('/', () => server);
  new Client();
  assert.strictEqual(live(), 2);
}

async function run() {
  await checkHandlers();
  await checkOrders();
  await checkDestroyed();
  await checkText();
  leave();
  await eventually('the collector ends what nobody refers to', () => live() === 0);
  console.log('gc ok');
}

module.exports = { run };
