// An authenticated TLS connection as ak and kx see it: bytes both ways, an identity, no messages.

/** What its owner is told. All calls come from the event loop, never from inside `write`. */
export interface ChannelHandler {
  /** Bytes that arrived. The view is lent until this returns. Not called while a write is unfinished. */
  received(chunk: Uint8Array): void;
  /** The unfinished write has ended: another may follow. Called before further bytes are read. */
  drained(): void;
  /** The connection is gone, from either side. Called once. `isRefused`: the other end's alert says that it never let us in. */
  closed(reason: string, isRefused?: boolean): void;
}

/** One whose owner may have no room for what arrives. */
export interface PausableChannel extends Channel {
  /** Nothing is received until `release`, and reading pauses. */
  hold(): void;
  release(): void;
}

/** One open connection whose other end is known. One unfinished write at a time; reading pauses meanwhile. */
export interface Channel {
  /** The ID in the peer's certificate (SAN URI `urn:qkm:app:<id>` or `urn:qkm:km:<id>`). */
  readonly id: string;
  /** For logs: subject, serial number and fingerprint of the peer's certificate. */
  readonly certificate: string;
  /** The TLS group negotiated, for example `X25519MLKEM768`. */
  readonly group: string;
  /** The server name (SNI) with which the peer came; empty when it gave none, or when it was dialled. */
  readonly serverName: string;
  /** True from `write` until the socket has taken all of it. */
  readonly writing: boolean;
  /** Sets the handler and begins to read. Once. */
  start(handler: ChannelHandler): void;
  /**
   * Encrypts all of `bytes` before it returns, so the caller may zero them at once. One unfinished write per channel:
   * throws when `writing`. Reading pauses while it is unfinished; past a deadline the channel closes.
   */
  write(bytes: Uint8Array): void;
  /** Ends the connection after what is written, or at once if the peer does not take it. */
  close(reason: string): void;
}
