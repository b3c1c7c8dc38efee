// http with keep-alive and streams, net with half-open ends; SIGTERM ends it.
'use strict';
const crypto = require('crypto'), http = require('http'), net = require('net');

const web = http.createServer((request, response) => {
  if (request.method === 'POST') {
    const hash = crypto.createHash('sha256');
    request.on('data', data => hash.update(data));
    request.on('end', () => response.end(hash.digest('hex') + '\n'));
  } else if (request.url === '/stream') {
    let n = 0;
    const more = () => {
      while (n < 400) {
        if (!response.write(String(n++).repeat(2000))) {
          response.once('drain', more);
          return;
        }
      }
      response.end();
    };
    more();
  } else {
    response.end(`${request.method} ${request.url} from ${request.socket.remoteAddress}\n`);
  }
});
const echo = net.createServer({ allowHalfOpen: true }, socket => socket.pipe(socket));
echo.on('connection', socket => socket.on('error', () => {}));
process.on('SIGTERM', () => {
  web.close(() => console.log('web closed'));
  echo.close(() => console.log('echo closed'));
});
web.listen(9301, '0.0.0.0', () => echo.listen(9302));
