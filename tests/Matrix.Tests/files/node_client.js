// Many requests by one keep-alive agent, streams, echoes with half-open ends, errors.
'use strict';
const crypto = require('crypto'), http = require('http'), net = require('net');
const host = process.argv[2];
const sha = data => crypto.createHash('sha256').update(data).digest('hex');
const agent = new http.Agent({ keepAlive: true, maxSockets: 5 });

function request(path, options = {}, body) {
  return new Promise((resolve, reject) => {
    const r = http.request({ host, port: 9301, path, agent, ...options }, response => {
      const parts = [];
      response.on('data', part => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts)));
    });
    r.on('error', reject);
    r.end(body);
  });
}

function echo(n) {
  return new Promise((resolve, reject) => {
    const data = Buffer.alloc(100000, `echo ${n} `), parts = [];
    const socket = net.connect({ host, port: 9302, allowHalfOpen: true }, () => socket.end(data));
    socket.on('data', part => parts.push(part));
    socket.on('end', () => resolve(Buffer.concat(parts).equals(data)));
    socket.on('error', reject);
  });
}

(async () => {
  const pages = await Promise.all([...Array(100).keys()].map(n => request('/' + n)));
  console.log(pages.length, pages[99].toString().trim());
  const body = Buffer.alloc(5 << 20, 'some text that is posted ');
  console.log((await request('/', { method: 'POST' }, body)).toString().trim() === sha(body));
  console.log(sha(await request('/stream')));
  console.log((await Promise.all([...Array(40).keys()].map(echo))).every(ok => ok));
  await new Promise(resolve => net.connect(9399, host).on('error', e => { console.log(e.code, e.syscall); resolve(); }));
  await new Promise(resolve => {
    const socket = net.connect(9302, host).setTimeout(100, () => { console.log('time-out'); socket.destroy(); resolve(); });
  });
  agent.destroy();
})();
