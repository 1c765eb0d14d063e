// Reference for Ak: a bare TLS server that answers so many bytes with a constant of so many bytes.

import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { given, ready, type ServerFiles, serverTls } from "./args.ts";

export interface FramesPlan {
  readonly files: ServerFiles;
  readonly requestBytes: number;
  readonly answerBytes: number;
}

const MOST = 128;
const { files, requestBytes, answerBytes } = given<FramesPlan>();
const answers = Buffer.alloc(MOST * answerBytes, "A");

const server = createServer(serverTls(files), (socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  let partial = 0;
  socket.on("data", (chunk: Buffer) => {
    const bytes = partial + chunk.length;
    const whole = Math.floor(bytes / requestBytes);
    partial = bytes - whole * requestBytes;
    if (whole > 0) socket.write(answers.subarray(0, whole * answerBytes));
  });
});
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
