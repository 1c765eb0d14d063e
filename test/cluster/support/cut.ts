// A TCP connection's way that a test can cut: nothing passes any more, and nobody is told.

import { connect, createServer, type Server, type Socket } from "node:net";

export class Way implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** A way to `port` of the loopback address, by a port of its own. */
  static async to(port: number): Promise<Way> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const way = new Way(server, address.port);
    server.on("connection", (near) => way.#pass(near, port));
    return way;
  }

  #pass(near: Socket, port: number): void {
    this.#keep(near);
    // Whoever comes while the way is cut is let in and hears nothing, as behind a network that drops packets.
    if (this.#isCut) return void near.pause();
    const far = connect(port, "127.0.0.1");
    this.#keep(far);
    near.pipe(far).pipe(near);
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
  }

  #keep(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** What was open before is lost; new connections pass. */
  mend(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
