// What a handshake has agreed on, as the log and the metrics tell it.

import type { TLSSocket } from "node:tls";

/** TLS version and cipher suite of a connection; empty where it has none yet. */
export const negotiated = (socket: TLSSocket): { readonly tls: string; readonly cipher: string } => ({
  tls: socket.getProtocol() ?? "",
  cipher: socket.getCipher()?.name ?? "",
});
