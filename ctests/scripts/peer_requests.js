// What node's HTTP parser (llhttp) makes of bytes, for differential_test.py; input and
// output are those of ctests/src/helpers/parse_requests.c, but for END. It is the parser
// of node's http server, and a rule of that server stands here beside it.
'use strict';
process.removeAllListeners('warning');
const { HTTPParser, methods } = require('_http_common');

const hex = (text) => Buffer.from(text, 'latin1').toString('hex');

function take(bytes) {
  const parser = new HTTPParser();
  const done = [];
  let fields = [], body = [], head = null, trailers = false, ended = false, problem = '';
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 16);
  // Fields that come in several pieces, and trailers.
  parser[HTTPParser.kOnHeaders | 0] = (more, url) => {
    if (head) return;
    fields = fields.concat(more);
    if (url) parser.url = (parser.url || '') + url;
  };
  parser[HTTPParser.kOnHeadersComplete | 0] =
    (major, minor, headers, method, url, status, text, upgrade, keepAlive) => {
      if (ended) return 0;
      if (headers) fields = fields.concat(headers);
      head = { method: methods[method], url: url || parser.url, keepAlive };
      const has = (name) => fields.some((text, i) => i % 2 === 0 && text.toLowerCase() === name);
      // The server refuses this before anybody sees the request.
      if (major === 1 && minor === 1 && !has('host')) problem = 'no Host';
      // What follows is no HTTP any more.
      if (upgrade) head.keepAlive = false;
      return 0;
    };
  parser[HTTPParser.kOnBody | 0] = (piece) => body.push(Buffer.from(piece));
  parser[HTTPParser.kOnMessageComplete | 0] = () => {
    if (ended) return;
    if (problem) { ended = true; return; }
    const pairs = [];
    for (let i = 0; i < fields.length; i += 2) {
      pairs.push(hex(fields[i]) + ':' + hex(fields[i + 1]));
    }
    done.push([hex(head.method), hex(head.url), Buffer.concat(body).toString('hex'),
      pairs.join(';')].join(','));
    if (!head.keepAlive) ended = true;
    fields = []; body = []; head = null; parser.url = '';
  };
  const result = parser.execute(bytes, 0, bytes.length);
  if (result instanceof Error && !ended) problem = result.code || result.message;
  const state = problem ? 'bad' : head || fields.length ? 'more' : 'ok';
  parser.free?.();
  return (done.length ? done.join(' ') + ' ' : '') + `|${state} ${problem}\n`;
}

let held = Buffer.alloc(0);
process.stdin.on('data', (piece) => {
  held = Buffer.concat([held, piece]);
  while (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) {
    const end = 4 + held.readUInt32BE(0);
    process.stdout.write(take(Buffer.from(held.subarray(4, end))));
    held = held.subarray(end);
  }
});
