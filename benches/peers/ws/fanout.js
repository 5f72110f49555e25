// A fan-out server on ws: what is published by HTTP on the second address goes to all on the first.
// node fanout.js CLIENT_HOST:PORT PUBLISH_HOST:PORT
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const [clients, publishers] = process.argv.slice(2).map((address) => address.split(':'));
const server = new WebSocketServer({
  host: clients[0],
  port: Number(clients[1]),
  backlog: 4096,
  perMessageDeflate: false,
});
// A client that breaks off is no concern of the others.
server.on('connection', (socket) => socket.on('error', () => {}));

const publisher = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const message = Buffer.concat(pieces);
    for (const socket of server.clients) socket.send(message, { binary: true });
    response.end('{}');
  });
});
publisher.keepAliveTimeout = 0;
server.on('listening', () => {
  publisher.listen(Number(publishers[1]), publishers[0], () => console.log('ready'));
});
