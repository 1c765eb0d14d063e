// No session tickets: every connection shows its certificate anew.

import type { Server } from "node:tls";

/**
 * Node has no option for it in TLS 1.3 (SSL_OP_NO_TICKET only changes the kind of ticket). But OpenSSL asks a callback
 * before it makes one, and sends none when that answers 0; the handle that takes the callback is reached through the server.
 * @throws Error when this Node has no such handle: better no listener than one that hands out tickets
 */
export function refuseTickets(server: Server): void {
  const context: unknown = Reflect.get(Object(Reflect.get(server, "_sharedCreds")), "context");
  const enable: unknown = Reflect.get(Object(context), "enableTicketKeyCallback");
  if (typeof enable !== "function")
    throw new Error("this Node cannot turn TLS session tickets off; use the one that qkm installs");
  const none = (name: Uint8Array, iv: Uint8Array): readonly unknown[] => [
    0,
    Buffer.alloc(32),
    Buffer.alloc(16),
    name,
    iv,
  ];
  Reflect.set(Object(context), "onticketkeycallback", none);
  Reflect.apply(enable, context, []);
}
