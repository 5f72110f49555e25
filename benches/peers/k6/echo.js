// Echo round trips by k6, a load tool that shares no code with gannet: what `gannet bench echo -c N -s SIZE --closed` does.
//   k6 run --vus N --iterations N -e URL=ws://127.0.0.1:28100/ -e SIZE=64 -e SECONDS=10 echo.js
// Each connection has one message in flight. k6's clock has milliseconds, so that a round trip is the time of many, shared out:
// with N connections `round_trip_us` is N seconds over the messages a second.
import ws from 'k6/ws';
import { Counter, Trend } from 'k6/metrics';

const messages = new Counter('messages');
const roundTrip = new Trend('round_trip_us');
const size = Number(__ENV.SIZE || 64);
const window = 1000 * Number(__ENV.SECONDS || 10);
const warmUp = 1000;

export default function () {
  const message = new Uint8Array(size).fill(120).buffer;
  ws.connect(__ENV.URL, (socket) => {
    let count = 0;
    let start = 0;
    const opened = Date.now();
    socket.on('open', () => socket.sendBinary(message));
    socket.on('binaryMessage', () => {
      count += 1;
      // The clock is no more than looked at now and then: it is part of what is measured.
      if (count % 16 === 0 || size > 65536) {
        const now = Date.now();
        if (start === 0 && now - opened >= warmUp) {
          start = now;
          count = 0;
        } else if (start > 0 && now - start >= window) {
          messages.add(count);
          roundTrip.add(((now - start) * 1000) / count);
          socket.close();
          return;
        }
      }
      socket.sendBinary(message);
    });
  });
}
