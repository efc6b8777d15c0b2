// A socket that is opened for the first run, and again for the next one after it was lost.

const VERSION = "parley.playground.v1";
const LOST = "The connection to Parley was lost. What was being written has been stopped.";

export class RunSocket {
  /** `onEvent(event)`; `onLost(message)` when the connection ends. */
  constructor(path, { onEvent, onLost }) {
    this.address = new URL(path, location.href);
    this.address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.handlers = { onEvent, onLost };
  }

  /** Send a command, over a new connection if there is none. */
  run(command) {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.send(command);
      return;
    }
    let refusal = "";
    this.socket = new WebSocket(this.address, [VERSION]);
    this.socket.onopen = () => this.send(command);
    this.socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      refusal = event[0] === "error" ? event[2] : "";
      this.handlers.onEvent(event);
    };
    this.socket.onclose = () => this.handlers.onLost(refusal || LOST);
  }

  send(command) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(command));
  }
}
