// A socket that comes back by itself.

const VERSION = "parley.chat.v1";
const FINAL_CODES = new Set([4401, 4403, 4404, 4406]);
const LONGEST_WAIT = 15_000; // milliseconds

export class Socket {
  /** `onOpen()` may send at once; `onEvent(event)`; `onLost(isFinal)` when the connection ends. */
  constructor(path, { onOpen, onEvent, onLost }) {
    this.address = new URL(path, location.href);
    this.address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.handlers = { onOpen, onEvent, onLost };
    this.failures = 0;
    this.connect();
    // Somebody who comes back to the page does not want to wait.
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(command) {
    this.socket.send(JSON.stringify(command));
  }

  connect() {
    this.timer = undefined;
    this.socket = new WebSocket(this.address, [VERSION]);
    this.socket.onopen = () => {
      this.failures = 0;
      this.handlers.onOpen();
    };
    this.socket.onmessage = (message) => this.handlers.onEvent(JSON.parse(message.data));
    this.socket.onclose = (event) => this.lost(FINAL_CODES.has(event.code));
  }

  lost(isFinal) {
    this.handlers.onLost(isFinal);
    if (isFinal) return;
    const wait = Math.min(LONGEST_WAIT, 250 * 2 ** this.failures);
    this.failures += 1;
    // Not all windows of all people at the same moment, after a restart of the server.
    this.timer = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
  }

  hurry() {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.connect();
  }
}
