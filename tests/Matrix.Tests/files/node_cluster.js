// cluster: the primary accepts and hands connections over to three workers (round robin), which answer; SIGTERM ends it.
'use strict';
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) {
  for (let n = 0; n < 3; n++) cluster.fork();
  process.on('SIGTERM', () => cluster.disconnect(() => console.log('disconnected')));
} else {
  http.createServer((request, response) => {
    response.setHeader('Connection', 'close');
    response.end(request.url === '/page' ? 'page\n' : `worker ${cluster.worker.id} for ${request.socket.remoteAddress}\n`);
  }).listen(9303, '0.0.0.0');
}
