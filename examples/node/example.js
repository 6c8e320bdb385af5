'use strict';
// The example: a server and a client.

const { Client, Server } = require('./apus.js');

function serve() {
  const server = new Server()
    .get('/hello/:name', (request) => request.text(200, `Hello, ${request.param('name')}!\n`))
    .get('/fail', async () => { throw new Error('on purpose'); })
    .events('/events', (writer) => {
      for (const id of [1, 2, 3]) writer.event(id, `tick ${id}`);
      writer.end();
    })
    .websocket('/echo', (channel, message) => channel.send(message));
  console.log(`http://127.0.0.1:${server.listen(0)}/`);

  const stop = () => {
    process.stdin.destroy();
    process.off('SIGINT', stop).off('SIGTERM', stop);
    server.stop();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  process.stdin.once('end', stop).resume();
}

async function get(url) {
  const { body } = await new Client().get(url);
  process.stdout.write(body);
}

async function talk(url, text) {
  const channel = await new Client().connect(url, (message) => {
    process.stdout.write(`${message}\n`);
    channel.close();
  });
  channel.send(text);
}

async function main([command, ...rest]) {
  if (command === 'serve') return serve();
  if (command === 'get' && rest.length === 1) return get(...rest);
  if (command === 'ws' && rest.length === 2) return talk(...rest);
  if (command === 'gc') return require('./collect.js').run();
  throw new Error('usage: example.js serve | get URL | ws URL TEXT | gc');
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message + (error.code ? ` (${error.code})` : ''));
  process.exitCode = 1;
});
