// An echo server on ws: node echo.js HOST:PORT
import { WebSocketServer } from 'ws';

const [host, port] = process.argv[2].split(':');
const server = new WebSocketServer({ host, port: Number(port), backlog: 4096, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  // A client that breaks off is no concern of the others.
  socket.on('error', () => {});
});
server.on('listening', () => console.log('ready'));
